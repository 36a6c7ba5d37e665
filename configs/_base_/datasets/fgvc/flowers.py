_base_ = "base.py"
num_classes = 102
place = dict(dataset="flowers", data_root="{{$FGVC_ROOT:data/fgvc}}/OxfordFlower")
train_dataloader = dict(dataset=place)
val_dataloader = dict(dataset=place)
test_dataloader = val_dataloader
