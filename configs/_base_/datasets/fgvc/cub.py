_base_ = "base.py"
num_classes = 200
place = dict(dataset="cub", data_root="{{$FGVC_ROOT:data/fgvc}}/CUB_200_2011")
train_dataloader = dict(dataset=place)
val_dataloader = dict(dataset=place)
test_dataloader = val_dataloader
