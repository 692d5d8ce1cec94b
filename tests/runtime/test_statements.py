from __future__ import annotations

import pytest

from agentperf_runtime.statements import cleaned


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select a from t where b = 12 and c = 'x'", "select a from t where b = ? and c = ?"),
        ("select * from t where a = -1.5e3 and b = 0xFF", "select * from t where a = -? and b = ?"),
        ("select a1, b2 from t3 where c_4 = 5", "select a1, b2 from t3 where c_4 = ?"),
        ("select a-1, (2)", "select a-?, (?)"),
        ("select 'it''s', 'b'", "select ?, ?"),
        (r"select 'it\'s secret', 'b'", "select ?"),
        (r"select 'C:\', 'secret'", "select ?"),
        ("select 'unterminated secret", "select ?"),
        ("select $1, $2::int, :name, %s, %(key)s, ?2", "select ?, ?::int, ?, ?, ?, ?"),
        ("select $$a secret$$, $tag$ another $$ one $tag$", "select ?, ?"),
        ("select a -- secret\nfrom /* secret */ t", "select a from t"),
        ("select E'a', N'b', X'ff'", "select ?, ?, ?"),
        ('select "a"."b" from "t" where "t"."c" = "u"."d"', 'select "a"."b" from "t" where "t"."c" = "u"."d"'),
        ('select a from t where b = "secret"', "select a from t where b = ?"),
        ('select a from t where b in ("secret", "other")', "select a from t where b in (?)"),
        ('insert into t ("a", "b") values ("secret", "x")', 'insert into t ("a", "b") values (?, ?)'),
        ('select "not a name, surely!"', "select ?"),
        ("select `a` from [t]", "select `a` from [t]"),
        ("select\n   a\tfrom t", "select a from t"),
        ("select a->>'k' from t", "select a->>? from t"),
        ('SAVEPOINT "s1_x2"', "SAVEPOINT ?"),
        ("RELEASE SAVEPOINT sa_savepoint_1;", "RELEASE SAVEPOINT ?"),
        ("ROLLBACK TO SAVEPOINT a", "ROLLBACK TO SAVEPOINT ?"),
        ("", ""),
    ],
)
def test_literals_are_taken_out(text: str, expected: str) -> None:
    assert cleaned("sql", text).text == expected.replace("$1", "?")


def test_placeholders_are_one_and_the_same() -> None:
    texts = ["select a from t where b = %s", "select a from t where b = $1", "select a from t where b = :b"]
    assert {cleaned("sql", text).text for text in texts} == {"select a from t where b = ?"}


@pytest.mark.parametrize(
    ("text", "batch", "expected"),
    [
        ("select a from t where b in (?, ?, ?)", 3, "select a from t where b in (?)"),
        ("select a from t where b in (1, 2)", 2, "select a from t where b in (?)"),
        ("select a from t where b in (?)", 0, "select a from t where b in (?)"),
        ("select a from t where b in ($1::INTEGER, $2::INTEGER)", 2, "select a from t where b in (?::INTEGER)"),
        ("select a from t where b in (%s::NUMERIC(10, 2))", 0, "select a from t where b in (?::NUMERIC(?, ?))"),
        ("select a from t where (b, c) in ((?, ?), (?, ?))", 2, "select a from t where (b, c) in ((?, ?))"),
        ("select a from t where b IN (SELECT c FROM u)", 0, "select a from t where b IN (SELECT c FROM u)"),
        ("insert into t values (?, ?), (?, ?), (?, ?)", 3, "insert into t values (?, ?)"),
        ("insert into t values (1, lower('a')), (2, lower('b'))", 2, "insert into t values (?, lower(?))"),
        ("insert into t values (?, ?)", 0, "insert into t values (?, ?)"),
        ("insert into t values (?), (?) on conflict do nothing", 2, "insert into t values (?) on conflict do nothing"),
    ],
)
def test_lists_are_counted_and_folded(text: str, batch: int, expected: str) -> None:
    statement = cleaned("sql", text)
    assert (statement.text, statement.batch) == (expected, batch)


def test_whether_values_were_in_the_text() -> None:
    assert cleaned("sql", "select a from t where b = 1").changed
    assert not cleaned("sql", "select a from t where b = ?").changed


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/users/12/orders", "https://a.example/users/{}/orders"),
        ("https://me:secret@a.example:8443/x?token=secret&q=1#secret", "https://a.example:8443/x?q&token"),
        ("/items/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/items/{}"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/feed/t7919x", "/feed/{}"),
        ("/files/deadbeefdeadbeef", "/files/{}"),
        ("/bot123456:AAF-secret_secret/send", "/{}:{}/send"),
        ("/v1/documents/1a2B3c4D5e6F7g8H9i0J:batchUpdate", "/v1/documents/{}:batchUpdate"),
        ("/users/alice%40example.com/cart", "/users/{}/cart"),
        ("/invoices/invoice-2024-01.pdf", "/invoices/{}"),
        ("/share/QWxhZGRpbjpvcGVuIHNlc2FtZQ", "/share/{}"),
        ("/items?4fzq81kd72hs63gt=&a=1", "/items?a&{}"),
        ("http://[::1]:8000/a", "http://[::1]:8000/a"),
        ("http://[broken", ""),
    ],
)
def test_urls_keep_their_shape_only(url: str, expected: str) -> None:
    assert cleaned("http", f"GET {url}").text == f"GET {expected}".strip()


@pytest.mark.parametrize(
    ("url", "batch"),
    [
        ("/items?ids=1,2,3", 3),
        ("/items?id=1&id=2", 2),
        ("/items/1,2,3,4", 4),
        ("/items/5?fields=name,price", 0),
        ("/items?id=1&page=2", 0),
    ],
)
def test_identifiers_in_urls_are_counted(url: str, batch: int) -> None:
    assert cleaned("http", f"GET {url}").batch == batch
