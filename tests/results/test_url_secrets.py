import pytest

from levertune.results.url_secrets import hide_secrets, without_url_secrets

SECRETS = ("hunter2secret", "a1f0deadbeef", "AKIA999")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:hunter2secret@host/a.jsonl", "https://host/a.jsonl"),
        ("https://hunter2secret@host/a.jsonl", "https://host/a.jsonl"),
        ("s3://AKIA999:hunter2secret@bucket/a.csv", "s3://bucket/a.csv"),
        (
            "https://b.host/a.jsonl?X-Amz-Credential=AKIA999%2Fx&X-Amz-Signature=a1f0deadbeef",
            "https://b.host/a.jsonl",
        ),
        ("https://h/a?file=b.csv&sig=a1f0deadbeef&se=2026", "https://h/a?file=b.csv"),
        ("https://h/a.csv?access_token=hunter2secret#part", "https://h/a.csv"),
        ("https://h/a.csv?q=a1f0deadbeef0123456789a1f0deadbeef", "https://h/a.csv"),
        (
            "s3://b/a.csv?versionId=a1f0deadbeef0123456789a1f0deadbeef",
            "s3://b/a.csv?versionId=a1f0deadbeef0123456789a1f0deadbeef",
        ),
        ("abfs://box@site.example/a.csv", "abfs://box@site.example/a.csv"),
        ("sftp://me@host:22/a#1.csv", "sftp://me@host:22/a#1.csv"),
        ("self-answers:https://me:hunter2secret@h/a.csv", "self-answers:https://h/a.csv"),
        ("git+https://me:hunter2secret@host/pool.git@v1", "git+https://host/pool.git@v1"),
        ("git+https://hunter2secret@host/pool.git", "git+https://host/pool.git"),
        ("git+ssh://git@host/pool.git", "git+ssh://git@host/pool.git"),
        (
            'x "https://me:hunter2secret@h/a.csv" and gs://b/c.csv',
            'x "https://h/a.csv" and gs://b/c.csv',
        ),
        ("hub:a/b@train, a@b:c, plain text", "hub:a/b@train, a@b:c, plain text"),
    ],
)
def test_urls_lose_their_secrets_and_nothing_else(text, shown):
    found = without_url_secrets(text)
    assert found == shown
    assert without_url_secrets(found) == shown


def test_every_string_inside_is_reached():
    value = {"a": ("https://x:y@h/b", {"b": ["https://x:y@h/c"]}), "n": 1, "none": None}
    expected = {"a": ("https://h/b", {"b": ["https://h/c"]}), "n": 1, "none": None}
    assert without_url_secrets(value) == expected


def test_a_librarys_words_about_a_url_lose_its_secrets_in_every_spelling():
    url = "https://me:hunter2%2Fsecret@host/a.jsonl?sig=a1f0deadbeef"
    text = f"cannot open {url}: signature a1f0deadbeef, password hunter2/secret"
    assert hide_secrets(text, url) == (
        "cannot open https://host/a.jsonl signature ***, password ***"
    )
