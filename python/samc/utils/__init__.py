"""segment_anything.utils, what of it programs import."""
