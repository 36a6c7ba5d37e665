# Linear probing: the ViT is not trained.
