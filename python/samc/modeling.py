"""segment_anything.modeling, what of it programs import."""

from .build_sam import Sam

__all__ = ["Sam"]
