_base_ = "base.py"
num_classes = 196
place = dict(dataset="cars", data_root="{{$FGVC_ROOT:data/fgvc}}/Stanford-cars")
train_dataloader = dict(dataset=place)
val_dataloader = dict(dataset=place)
test_dataloader = val_dataloader
