"""Endings of files, in lower case: which are pictures, and which are recordings."""

from __future__ import annotations

PICTURES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".gif", ".webp", ".avif"),
        *(".bmp", ".dib", ".tif", ".tiff", ".tga", ".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
OTHER_PICTURES = frozenset(
    {
        *(".heic", ".heif", ".jxl", ".jxr", ".ico", ".psd", ".svg", ".exr", ".hdr", ".dcm"),
        *(".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".dng"),
    }
)
"""Pictures that are not read."""
WAV = ".wav"
"""The recordings that are read."""
SOUNDS = frozenset({WAV, ".flac", ".mp3", ".ogg"})
