"""What statements have in common, and what they do."""

from __future__ import annotations

import pytest

from agentperf_lint.checklist.statements import meaning_of, meanings_of, normalised_sql


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM t WHERE id IN (?, ?, ?)", "select a  from t\nwhere id in (?)"),
        ("select a from t where id = $1", "select a from t where id = %s -- comment"),
        ('SELECT "t"."a" FROM "t"', "select `t`.`a` from `t`"),
        ("select a from t where b = :name and c = %(c)s", "select a from t where b = ? and c = ?1"),
        ("insert into t (a, b) values (?, ?), (?, ?)", "insert into t(a,b) values(?,?)"),
        ("select a from t where b = 'x' limit 10", "select a from t where b = 'it''s' limit 20"),
        ("select a from t as u join v on v.id = u.id", "select a from t u inner join v on v.id = u.id"),
    ],
)
def test_statements_that_are_the_same(one, other):
    found = {meaning_of("sql", text).fingerprint.replace("INNER ", "") for text in (one, other)}
    assert len(found) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select a from t1", "select a from t2"),
        ("select a::int from t", "select a::text from t"),
        ("select a from t where b = ?", "select a from t where c = ?"),
    ],
)
def test_statements_that_are_not(one, other):
    assert meaning_of("sql", one).fingerprint != meaning_of("sql", other).fingerprint


@pytest.mark.parametrize(
    ("text", "effect", "tables"),
    [
        ("select * from a join b on a.id = b.id", "read", {"a", "b"}),
        ("with n as (select * from z) select * from n", "read", {"z"}),
        ("insert into s.orders values (?)", "write", {"orders"}),
        ("INSERT OR IGNORE INTO orders VALUES (?)", "write", {"orders"}),
        ("replace into orders values (?)", "write", {"orders"}),
        ("update only orders set a = 1", "write", {"orders"}),
        ("delete from orders where a in (select b from c)", "write", {"orders"}),
        ("(select a from t) union (select a from u)", "read", {"t", "u"}),
        ("call refresh_all(?)", "write", set()),
        ("select a from t where ((", "read", {"t"}),
        ("insert into t (a) values (?) on conflict (a) do update set a = 1", "write", {"t"}),
        ("insert into t (a) values (?) on duplicate key update a = 1", "write", {"t"}),
        ("select a from t for update", "read", {"t"}),
        ("select a from t for no key update", "read", {"t"}),
    ],
)
def test_effects_and_tables(text, effect, tables):
    meaning = meaning_of("sql", text)
    assert (meaning.effect, meaning.resources) == (effect, frozenset(tables))


def test_rare_statements_are_read_without_a_parser():
    texts = [("sql", f"select a from t{number} join u on true") for number in range(600)]
    meanings = meanings_of(texts)
    assert meanings[texts[0]].fingerprint.startswith("SELECT")
    assert meanings[texts[-1]].fingerprint == normalised_sql(texts[-1][1])
    assert meanings[texts[-1]].resources == {"t599", "u"}


def test_arrays_and_casts_stay():
    assert normalised_sql("select a from t where id = any($1::int[])") == "select a from t where id=any(?::int[])"
