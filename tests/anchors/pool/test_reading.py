import os

import pytest

from levertune.anchors.pool.check import check_pool
from levertune.anchors.pool.places import locate
from levertune.anchors.pool.reading import MAX_BYTES, read_entry, read_pool_folder
from levertune.errors import DataError


@pytest.fixture
def pool(tmp_path, make_entry, entry_file):
    folder = tmp_path / "pool"
    folder.mkdir()
    for name in ("b-second", "a-first"):
        (folder / f"{name}.yaml").write_text(entry_file(make_entry(name)), "utf-8")
    return folder


def test_a_folder_is_read_in_the_order_of_names(pool, make_entry):
    (pool / "README.md").write_text("About.", "utf-8")
    (pool / ".hidden.yaml").write_text("x", "utf-8")
    entries = read_pool_folder(pool)
    assert list(entries) == [f"{pool}/a-first.yaml", f"{pool}/b-second.yaml"]
    assert list(entries.values()) == [make_entry("a-first"), make_entry("b-second")]


def test_of_a_folder_with_entries_only_these_are_read(pool, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "mkdocs.yaml").write_text("site: x", "utf-8")
    pool.rename(home / "entries")
    assert list(read_pool_folder(home, shown="git+x")) == [
        "git+x/entries/a-first.yaml",
        "git+x/entries/b-second.yaml",
    ]


def test_a_missing_or_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        read_pool_folder(tmp_path / "none")
    with pytest.raises(DataError, match="the pool is empty: no .yaml file there; found"):
        read_pool_folder(tmp_path)
    file = tmp_path / "file"
    file.write_text("x", "utf-8")
    with pytest.raises(DataError, match="is a file, not a folder"):
        read_pool_folder(file)


def test_a_file_with_another_ending_is_not_passed_over(pool):
    (pool / "a-first.yaml").rename(pool / "a-first.yml")
    with pytest.raises(DataError, match=r"a-first.yml: an entry's file ends in .yaml"):
        read_pool_folder(pool)


BAD = [
    (b"\xff\xfeid: x", "is not UTF-8; found byte 0xff at offset 0"),
    (b"x" * (MAX_BYTES + 1), "is too large; an entry has at most 65,536 bytes"),
    (b"a: &x [1]\nb: *x\n", "line 2: has the alias"),
    (b"id: !!python/object:os.system x\n", "line 1: has the tag"),
    (b"id: a\nid: b\n", "line 2: has the key 'id' a second time"),
    (b"id: [a\n", "is not valid YAML"),
    (b'id: "\\U00110000"\n', "is not valid YAML: a value cannot be read"),
    (b"--- {}\n--- {}\n", "begins a second document"),
    (b"? [a]\n: b\n", "has a key that is not text"),
    (b"", "must be a mapping"),
    (b"id: bad\nvotes: few\n", ": text: is missing"),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=[message for _, message in BAD])
def test_a_malformed_file_is_refused(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"bad.yaml.*{message}"):
        read_entry(path)


def test_a_bomb_of_aliases_is_refused_at_once(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(DataError, match="line 2: has the alias"):
        read_entry(path)


def test_a_fault_names_its_line(tmp_path, make_entry, entry_file):
    path = tmp_path / "city-to-code.yaml"
    text = entry_file(make_entry()).replace("answer: label", "answer: lable")
    path.write_text(text, "utf-8")
    line = text.split("\n").index("answer: lable") + 1
    with pytest.raises(DataError, match=rf"code.yaml, line {line}: answer: must be one of"):
        read_entry(path)


def test_text_that_looks_like_a_template_or_an_escape_stays_as_it_is(
    tmp_path, make_entry, entry_file
):
    text = "Say {name}, ${HOME}, %s and {{ 7 * 7 }}: \\n is two characters."
    path = tmp_path / "city-to-code.yaml"
    path.write_text(entry_file(make_entry(text=text)), "utf-8")
    assert read_entry(path).text == text


def test_a_byte_order_mark_is_no_part_of_the_entry(tmp_path, make_entry, entry_file):
    path = tmp_path / "city-to-code.yaml"
    path.write_text(entry_file(make_entry()), "utf-8-sig")
    assert read_entry(path) == make_entry()


def test_links_in_a_ring_are_refused(pool):
    (pool / "ring.yaml").symlink_to("ring.yaml")
    with pytest.raises(DataError, match=r"ring\.yaml: .*found 'ring\.yaml'\. Put "):
        read_pool_folder(pool)


def test_a_link_may_not_lead_out_of_the_folder(pool, tmp_path):
    outside = tmp_path / "outside.yaml"
    (pool / "a-first.yaml").rename(outside)
    (pool / "a-first.yaml").symlink_to(outside)
    with pytest.raises(DataError, match="is a link that leads out of its folder"):
        read_pool_folder(pool)
    assert len(read_pool_folder(pool, root=tmp_path)) == 2


def test_a_linked_folder_of_entries_may_not_lead_out_of_the_pool(pool, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "entries").symlink_to(pool)
    for read in (read_pool_folder, check_pool):
        with pytest.raises(DataError, match=f"^{home}/entries: is a link that leads out of"):
            read(home)
    assert len(read_pool_folder(home, root=tmp_path)) == 2
    pool.rename(home / "store")
    (home / "entries").unlink()
    (home / "entries").symlink_to("store")
    assert len(read_pool_folder(home)) == 2


def test_a_link_within_the_folder_is_followed(pool):
    (pool / "store").mkdir()
    (pool / "a-first.yaml").rename(pool / "store" / "blob")
    (pool / "a-first.yaml").symlink_to(pool / "store" / "blob")
    assert len(read_pool_folder(pool)) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(pool):
    os.mkfifo(pool / "c.yaml")
    with pytest.raises(DataError, match=r"c.yaml: is no plain file"):
        read_pool_folder(pool)


def test_a_missing_or_unreadable_file_is_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="there is no such file"):
        read_entry(tmp_path / "none.yaml")
    path = tmp_path / "shut.yaml"
    path.write_text("x", "utf-8")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(DataError, match="cannot be read; Permission denied"):
        read_entry(path)


@pytest.mark.parametrize("call", ["iterdir", "lstat", "stat"])
def test_a_folder_that_may_not_be_looked_into_is_one_line(pool, monkeypatch, call):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(pool), call, refuse)
    with pytest.raises(DataError, match=f"^{pool}.*: cannot be read; Permission denied. Check its"):
        read_pool_folder(pool)
    assert locate(str(pool)).folder == pool  # and is not taken for a repository
