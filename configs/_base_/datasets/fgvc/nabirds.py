_base_ = "base.py"
num_classes = 555
place = dict(dataset="nabirds", data_root="{{$FGVC_ROOT:data/fgvc}}/nabirds")
train_dataloader = dict(dataset=place)
val_dataloader = dict(dataset=place)
test_dataloader = val_dataloader
