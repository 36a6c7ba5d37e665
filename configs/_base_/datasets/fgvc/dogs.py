_base_ = "base.py"
num_classes = 120
place = dict(dataset="dogs", data_root="{{$FGVC_ROOT:data/fgvc}}/Stanford-dogs")
train_dataloader = dict(dataset=place)
val_dataloader = dict(dataset=place)
test_dataloader = val_dataloader
