"""PGM images: grey, 8 bits a pixel."""


def pgm_header(fast: int, slow: int, comment: str) -> bytes:
    """Return what stands before the pixels of an image of ``fast`` x ``slow``, fast axis first."""
    return f"P5\n{fast} {slow}\n# {comment}\n255\n".encode()
