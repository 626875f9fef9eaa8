"""Bytes of a file, or of a range of one: data sets pack thousands of images into a file, which stays packed."""

import os
import re
from pathlib import Path

_RANGE = re.compile(r"^(?P<file>.+)#(?P<offset>\d{1,18})\+(?P<size>\d{1,18})$")
HEAD = 256
"""Bytes by which :func:`what_is` tells kinds of file apart."""
SURE = 4
"""Bytes of a mark that numbers do not begin with by chance."""
MOST_BYTES = 1 << 30
"""Of a picture or a cloud: more is no scan, and takes the memory of a machine."""
_KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer and not the file itself: run `git lfs pull`"),
    (b"../.git/annex/", "a git-annex pointer and not the file itself: run `git annex get`"),
    (b"/annex/objects/", "a git-annex pointer and not the file itself: run `git annex get`"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"PK\x03\x04", "a ZIP archive (or an .npz of several arrays, or a PyTorch file)"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "compressed by gzip: unpack it"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"(\xb5/\xfd", "compressed by zstd: unpack it"),
    (b"BZh", "compressed by bzip2: unpack it"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"%PDF", "a PDF"),
    (b"\x89HDF", "an HDF5 file"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file (.feather)"),
    (b"LASF", "a LAS cloud (.las or .laz)"),
    (b"ASTM-E57", "an E57 cloud"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"# .PCD", "a PCD cloud"),
    (b"ply\n", "a PLY file"),
    (b"ply\r", "a PLY file"),
    (b"#ROSBAG", "a ROS bag: unpack its messages"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
)
_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|\?xml|error)", re.IGNORECASE)


def byte_range(path: str, offset: int, size: int) -> str:
    """The path of ``size`` bytes from ``offset`` on in a file, as :func:`read_bytes` takes it."""
    return f"{path}#{offset}+{size}"


def file_of(path: Path) -> tuple[Path, int]:
    """The file that a path names, and how many bytes it has to have at least: a range's end, else 0."""
    found = _RANGE.match(str(path))
    return (path, 0) if found is None else (Path(found["file"]), int(found["offset"]) + int(found["size"]))


def read_bytes(path: Path) -> bytes:
    """All bytes of a file, or those of a range (``FILE#OFFSET+SIZE``); fewer where the file ends before.

    Raises:
        FileNotFoundError: no such file; its text says what is there instead.
        OSError: it cannot be read, or is larger than any scan.
    """
    file, end = file_of(path)
    if not file.is_file():
        raise FileNotFoundError(absent(file))
    if (size := file.stat().st_size if not end else end - _offset(path)) > MOST_BYTES:
        raise OSError(f"{size:,} bytes; a scan or picture has {MOST_BYTES:,} at most")
    if not end:
        return file.read_bytes()
    offset = _offset(path)
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(max(0, min(end, os.fstat(opened.fileno()).st_size) - offset))


def _offset(path: Path) -> int:
    """Where the range of a file begins that a path names."""
    return int(str(path).rpartition("#")[2].partition("+")[0])


def absent(path: Path) -> str:
    """Why a path is no file, in words that begin with it."""
    if path.is_dir():
        return f"{path}: is a folder"
    if path.exists():
        return f"{path}: is a pipe or a device, and no file"
    if path.is_symlink():
        return f"{path}: is a link to {os.readlink(path)}, where nothing is"
    return f"{path}: no such file"


def what_is(data: bytes, mark: int = 2) -> str | None:
    """What a file is, by its first bytes, in words for a message; None where they say nothing.

    Args:
        mark: length of the shortest mark that says something; ``SURE`` for what may be numbers.
    """
    head = data[:HEAD]
    if not head:
        return "empty"
    if _PAGE.match(head):
        return "a web page or an XML answer (a download that failed?)"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "a WebP picture"
    return next((words for magic, words in _KINDS if len(magic) >= mark and head.startswith(magic)), None)
