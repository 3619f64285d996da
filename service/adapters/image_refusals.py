"""Files that are not decoded: what is too large, what they look like, and sentences that say what to do."""

from __future__ import annotations

MAX_PIXELS = 40_000_000

_SIGNATURES = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"8BPS", "a Photoshop"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"%PDF", "a PDF"),
    (b"PK\3\4", "a ZIP"),
)
_HEIF_BRANDS = {b"heic": "a HEIC", b"heix": "a HEIC", b"hevc": "a HEIC", b"mif1": "a HEIC", b"msf1": "a HEIC"}
_AVIF_BRANDS = {b"avif": "an AVIF", b"avis": "an AVIF"}
_TAKEN = "JPEG, PNG and WebP are taken"
_TEXT_BYTES = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}


def file_kind(data: bytes) -> str:
    """Why bytes that Pillow could not identify are refused: what their first bytes say they are, if anything."""
    started = _own_format(data)
    if started:
        return (
            f"the file starts like a {started} but its header is damaged ({len(data)} bytes): copy or export it again"
        )
    kind = _other_kind(data)
    if kind:
        return f"the file is {kind} file, whatever its name says; {_TAKEN}: convert it to one of them"
    return f"the file is not a picture that can be read; {_TAKEN}"


def damage(data: bytes, error: Exception) -> str:
    """Why a file that starts like one of the three formats is refused."""
    name = _own_format(data) or "picture"
    detail = str(error).strip() or type(error).__name__
    if isinstance(error, Warning):
        return f"the {name} is malformed ({detail}): open it in an image editor and save it again"
    if "truncated" in detail.lower() or isinstance(error, EOFError) or _webp_ends_early(data):
        return f"the {name} ends too early, after {len(data)} bytes ({detail}): copy or download it again"
    if isinstance(error, MemoryError):
        return f"the {name} needs more memory than one picture is given: scale it down"
    return f"the {name} is damaged ({detail}): copy or export it again"


def _own_format(data: bytes) -> str | None:
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    return None


def _webp_ends_early(data: bytes) -> bool:
    """A WebP says how long it is; its decoder does not say that this is why it fails."""
    return _own_format(data) == "WebP" and len(data) < 8 + int.from_bytes(data[4:8], "little")


def _other_kind(data: bytes) -> str | None:
    if data[4:8] == b"ftyp":
        return {**_HEIF_BRANDS, **_AVIF_BRANDS}.get(data[8:12], "a video (MP4 or MOV)")
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    head = data[:512]
    if b"<svg" in head:
        return "an SVG"
    return "a text" if _TEXT_BYTES.issuperset(head) else None
