"""The runtime tree: what a judge runs is what the tests ran, kept by its digest."""

from __future__ import annotations

from pathlib import Path

import pytest
from paper import a_runtime

from lab import archive, runtime
from lab.errors import CustodyError, PacketError


def test_a_tree_packs_to_the_same_bytes_and_comes_back(tmp_path: Path) -> None:
    tree = a_runtime()
    data = runtime.pack(tree)
    shuffled = runtime.Runtime(family="paper", files=dict(reversed(tree.files.items())), requirements=())
    assert runtime.pack(shuffled) == data
    assert shuffled.sha256 == tree.sha256
    path = tmp_path / "tree.zip"
    path.write_bytes(data)
    again = runtime.unpack(path, tree.sha256, "paper")
    assert (again.files, again.entry, again.n_bytes) == (dict(sorted(tree.files.items())), tree.entry, tree.n_bytes)


def test_the_digest_covers_every_file_its_name_and_the_entry() -> None:
    tree = a_runtime()
    digests = {tree.sha256}
    for name in tree.files:
        digests.add(runtime.Runtime(family="", files={**tree.files, name: b"x"}, requirements=()).sha256)
        moved = {("x" + key if key == name else key): value for key, value in tree.files.items()}
        digests.add(runtime.Runtime(family="", files=moved, requirements=()).sha256)
    digests.add(runtime.Runtime(family="", files=tree.files, requirements=(), entry=b"exit 0").sha256)
    assert len(digests) == 2 + 2 * len(tree.files)


@pytest.mark.parametrize("data", [b"", b"PK", archive.stored({"inflate.sh": b"x"}), runtime.pack(a_runtime("# other"))])
def test_another_archive_is_not_the_tree(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "tree.zip").write_bytes(data)
    with pytest.raises(PacketError):
        runtime.unpack(tmp_path / "tree.zip", a_runtime().sha256, "paper")


@pytest.mark.parametrize("family", ["absent", "../../x", "a.b", "", "conventional.decode"])
def test_a_family_that_does_not_exist_has_no_tree(family: str) -> None:
    with pytest.raises(PacketError, match="runtime of"):
        runtime.of_family(family)


def test_files_outside_of_the_package_are_not_shipped(tmp_path: Path) -> None:
    (tmp_path / "x.py").touch()
    with pytest.raises(PacketError, match="files of the package"):
        runtime.of_closure("x", (tmp_path / "x.py",))


def test_a_package_is_shipped_with_an_empty_card() -> None:
    files = runtime.of_family("conventional").files
    assert all(content == b"" for name, content in files.items() if name.endswith("__init__.py"))
    assert files["lab/errors.py"] == (Path(runtime.__file__).parent / "errors.py").read_bytes()


def test_imports_are_read_wherever_they_stand() -> None:
    code = (
        b"import os, numpy as np\nfrom torch.nn import functional\nfrom . import x\nfrom lab.errors import LabError\n"
    )
    code += b"def f():\n    import brotli\n    try:\n        import av.codec\n    except ImportError:\n        pass\n"
    assert runtime.imports({"x.py": code, "y.txt": b"import nothing"}) == ("av", "brotli", "numpy", "torch")
    with pytest.raises(PacketError, match=r"runtime/x\.py"):
        runtime.imports({"x.py": b"import ("})


def test_versions_are_pinned_where_they_are_known() -> None:
    assert runtime.pin(("av", "torch", "x"), {"torch": "2.13.0+cpu", "av": "18.1.0"}) == (
        "av==18.1.0",
        "torch==2.13.0",
        "x",
    )


def test_a_folder_without_a_runtime_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PacketError, match="runtime"):
        runtime.of_packet(tmp_path)
    (tmp_path / "runtime").mkdir()
    (tmp_path / "inflate.sh").touch()
    (tmp_path / "runtime" / "x").symlink_to("/etc/hostname")
    with pytest.raises(CustodyError):
        runtime.of_packet(tmp_path)
