"""A trained model leaves this package: as ONNX, as a program of ``torch.export``, as a plain timm ViT."""
