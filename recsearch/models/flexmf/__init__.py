"""LensKit's FlexMF models, trained by LensKit's own trainers, one resumable epoch at a time."""
