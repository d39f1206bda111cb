"""Range requests as RFC 9110 has them."""

import pytest
from starlette.exceptions import HTTPException

from infra.http_ranges import wanted

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("field", "status", "start", "end"),
    [
        ("bytes=0-", 206, 0, 10),
        ("bytes=2-4", 206, 2, 5),
        ("bytes=9-9", 206, 9, 10),
        ("bytes=5-500", 206, 5, 10),
        ("bytes=-3", 206, 7, 10),
        ("bytes=-50", 206, 0, 10),
        ("bytes= 1-2 ", 206, 1, 3),
        ("bytes=4-2", 200, 0, 10),
        ("bytes=-", 200, 0, 10),
        ("bytes=0-1,3-4", 200, 0, 10),
        ("lines=0-1", 200, 0, 10),
        ("bytes=x-1", 200, 0, 10),
        ("bytes=\u0661-", 200, 0, 10),
        ("", 200, 0, 10),
    ],
)
def test_one_range_is_a_part_and_anything_else_the_whole(field: str, status: int, start: int, end: int) -> None:
    found = wanted({"range": field}, 10, ETAG)

    assert (found.status, found.start, found.end) == (status, start, end)
    assert found.headers["Content-Length"] == str(end - start)
    assert found.headers.get("Content-Range") == (f"bytes {start}-{end - 1}/10" if status == 206 else None)


@pytest.mark.parametrize(("field", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0)])
def test_a_range_behind_the_end_is_416_and_says_where_that_is(field: str, size: int) -> None:
    with pytest.raises(HTTPException) as refused:
        wanted({"range": field}, size, ETAG)

    assert refused.value.status_code == 416
    assert refused.value.headers is not None
    assert refused.value.headers["Content-Range"] == f"bytes */{size}"


@pytest.mark.parametrize(("etag", "status"), [(ETAG, 206), ('"other"', 200), (f"W/{ETAG}", 200)])
def test_a_range_of_another_version_is_the_whole_of_this_one(etag: str, status: int) -> None:
    assert wanted({"range": "bytes=1-2", "if-range": etag}, 10, ETAG).status == status


@pytest.mark.parametrize(
    ("field", "status"), [(ETAG, 304), (f'"x", W/{ETAG}', 304), ("*", 304), ('"x"', 200), ("", 200)]
)
def test_what_the_client_has_is_not_sent_again(field: str, status: int) -> None:
    assert wanted({"if-none-match": field}, 10, ETAG).status == status
