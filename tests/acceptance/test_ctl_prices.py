"""`imprestctl prices` and `imprestctl quote` against a server, as a user or cron runs them."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from imprest_client import PricingClient, UsageLine
from imprest_client.ctl.session import Session
from imprest_client.ctl.usage import parse_line
from tests.conftest import Database
from tests.support.ctl import Ctl
from tests.support.server import running_server

_EXAMPLES = Path(__file__).parents[2] / "examples"
_LITELLM = _EXAMPLES / "litellm_prices.json"
_LINE = "llm.input_tokens=1200,provider=openai,model=gpt-4o"


@pytest.fixture
async def ctl(database: Database) -> AsyncIterator[Ctl]:
    async with running_server(database) as server:
        yield Ctl(server.target)


@pytest.fixture
async def priced(ctl: Ctl) -> Ctl:
    """An account, and the books of the examples, which price every account."""
    await ctl.ok("accounts", "create", "acme", "--currency", "USD")
    for book, side, file in (("cost", "cost", "prices.csv"), ("retail", "sale", "sale_prices.csv")):
        await ctl.ok("prices", "create", book, "--side", side, "--currency", "usd")
        await ctl.ok("prices", "publish", book, str(_EXAMPLES / file), "--yes")
        await ctl.ok("prices", "assign", book, "--default", "--yes")
    return ctl


def _file(tmp_path: Path, text: str, name: str = "prices.csv") -> str:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return str(path)


async def test_books(ctl: Ctl) -> None:
    made = await ctl.ok("prices", "create", "cost", "--side", "Cost", "--currency", "usd", "--name", "Costs", "--json")
    assert made.json["book"]["price_book_id"] == "cost"
    assert (made.json["book"]["side"], made.json["book"]["currency_code"]) == ("COST", "USD")
    await ctl.ok("prices", "create", "retail", "--side", "sale", "--currency", "USD")
    listed = await ctl.ok("prices", "books", "--json")
    assert [book["price_book_id"] for book in listed.json] == ["cost", "retail"]
    assert [row["price_book_id"] for row in (await ctl.ok("prices", "books", "--side", "sale", "--csv")).rows] == [
        "retail"
    ]
    assert (await ctl.ok("prices", "books", "--currency", "eur")).output == "(no price books)\n"
    shown = await ctl.ok("prices", "show", "cost", "--json")
    assert (shown.json["current"], shown.json["latest"], shown.json["versions"]) == (None, None, [])
    taken = await ctl("prices", "create", "cost", "--side", "cost", "--currency", "USD", "--json")
    assert (taken.status, taken.error["reason"]) == (1, "PRICE_BOOK_EXISTS")
    assert (await ctl("prices", "show", "none")).status == 3
    assert (await ctl("prices", "create", "x", "--side", "left", "--currency", "USD")).status == 2


async def test_publishing_shows_the_differences_first(ctl: Ctl, tmp_path: Path) -> None:
    await ctl.ok("prices", "create", "cost", "--side", "cost", "--currency", "USD")
    file = _file(
        tmp_path, "meter,provider,unit_price,per_quantity\nllm.input_tokens,a,2,1000000\nstt.seconds,,0.006,60\n"
    )
    dry = await ctl.ok("prices", "publish", "cost", file, "--dry-run")
    assert "2 added, 0 changed, 0 removed, 0 unchanged" in dry.output
    assert "ADDED   llm.input_tokens  a         -      -       -       2 per 1000000" in dry.output
    assert "Nothing was published: this was a dry run." in dry.output
    nobody = await ctl("prices", "publish", "cost", file)
    assert nobody.status == 6
    assert "Publish this in book cost, in force from now? Nobody can answer here" in nobody.errors
    assert (await ctl.ok("prices", "list", "cost")).output == "(no prices)\n"

    done = await ctl.ok("prices", "publish", "cost", file, "--yes", "--json")
    assert done.json["published"] is True
    assert done.json["version"]["number"] == 1
    assert done.json["count"] == {"added": 2, "changed": 0, "removed": 0, "unchanged": 0}
    assert [d["after"]["unit_price"] for d in done.json["differences"]] == ["2", "0.006"]
    again = await ctl.ok("prices", "publish", "cost", file, "--yes")
    assert "There is nothing to publish in book cost." in again.output

    dearer = _file(tmp_path, "meter,provider,unit_price,per_quantity\nllm.input_tokens,a,3,1000000\n")
    changes = await ctl.ok("prices", "publish", "cost", dearer, "--replace", "--yes", "--csv")
    assert [(row["change"], row["before_words"], row["after_words"]) for row in changes.rows] == [
        ("CHANGED", "2 per 1000000", "3 per 1000000"),
        ("REMOVED", "0.006 per 60", ""),
    ]
    diff = await ctl.ok("prices", "diff", "cost", "--json")
    assert [(d["change"], d["meter"]) for d in diff.json] == [
        ("CHANGED", "llm.input_tokens"),
        ("REMOVED", "stt.seconds"),
    ]
    assert [d["change"] for d in (await ctl.ok("prices", "diff", "cost", "0", "1", "--json")).json] == ["ADDED"] * 2
    assert (await ctl.ok("prices", "diff", "cost", "1", "1")).output == "(the same prices)\n"
    assert (await ctl("prices", "diff", "cost", "1", "7")).status == 2
    old = await ctl.ok("prices", "list", "cost", "--version", "1", "--json")
    assert [price["meter"] for price in old.json] == ["llm.input_tokens", "stt.seconds"]
    shown = await ctl.ok("prices", "show", "cost")
    assert "version 2 is in force" in shown.output
    listed = (await ctl.ok("prices", "show", "cost", "--json")).json["versions"]
    assert [version["number"] for version in listed] == [2, 1]
    assert len((await ctl.ok("prices", "show", "cost", "--json", "--limit", "1")).json["versions"]) == 1


async def test_what_would_only_hold_in_the_past_is_refused(priced: Ctl) -> None:
    """A newer version is in force: prices of now would not change, and nobody would notice."""
    dearer = "meter,unit_price\ntelephony.did_months,3\n"
    publish = ("prices", "publish", "retail", "-", "--effective", "yesterday")
    dry = await priced(*publish, "--dry-run", stdin=dearer)
    assert dry.status == 0
    assert "Prices of now do not change: since " in dry.output
    refused = await priced(*publish, "--yes", "--json", stdin=dearer)
    assert (refused.status, refused.error["reason"]) == (1, "ONLY_PAST")
    assert "since then version 1 is in force" in refused.error["message"]
    assert (await priced.ok("prices", "show", "retail", "--json")).json["latest"]["number"] == 1
    meant = await priced(*publish, "--past", "--yes", "--json", stdin=dearer)
    assert (meant.json["version"]["number"], meant.json["followed_by"]["number"]) == (2, 1)
    assert (await priced.ok("prices", "show", "retail", "--json")).json["current"]["number"] == 1


async def test_what_a_later_version_takes_back_is_told(priced: Ctl) -> None:
    first, second = ("meter,unit_price\ntelephony.did_months,3\n", "meter,unit_price\nwhatsapp.session_messages,1\n")
    scheduled = await priced("prices", "publish", "retail", "-", "--effective", "tomorrow", "--yes", stdin=first)
    assert "takes over" not in scheduled.output
    now = await priced("prices", "publish", "retail", "-", "--yes", stdin=second)
    assert now.status == 0
    assert "then version 2 takes over, which is published already and knows nothing of this" in now.output
    override = ("prices", "override", "acme", "stt.seconds", "--yes", "--unit-price")
    await priced.ok(*override, "1", "--effective", "tomorrow")
    assert "then version 1 takes over" in (await priced.ok(*override, "2")).output
    nothing = await priced.ok(*override, "3", "--effective", "tomorrow", "--json")
    assert nothing.json["followed_by"] is None


async def test_what_is_listed_as_csv_can_be_published(priced: Ctl, tmp_path: Path) -> None:
    for book in ("cost", "retail"):
        listed = await priced.ok("prices", "list", book, "--csv")
        same = await priced.ok(
            "prices", "publish", book, _file(tmp_path, listed.output), "--replace", "--yes", "--json"
        )
        assert (same.json["published"], same.json["differences"]) == (False, [])
        stdin = await priced("prices", "publish", book, "-", "--replace", "--dry-run", "--json", stdin=listed.output)
        assert stdin.json["count"]["unchanged"] == len(listed.rows)


async def test_every_bad_line_is_told(ctl: Ctl, tmp_path: Path) -> None:
    await ctl.ok("prices", "create", "cost", "--side", "cost", "--currency", "USD")
    file = _file(tmp_path, "meter,unit_price\nllm.input_tokens,x\nllm.output_tokens,-1\n")
    failed = await ctl("prices", "publish", "cost", file, "--yes")
    assert failed.status == 2
    assert "  csv[2]: unit_price: 'x' is not a number\n  csv[3]: unit_price: -1 must not be negative\n" in failed.errors
    machine = await ctl("prices", "publish", "cost", file, "--yes", "--json")
    assert set(machine.error["violations"]) == {"csv[2]", "csv[3]"}
    meter = await ctl("prices", "publish", "cost", _file(tmp_path, "meter,unit_price\nllm.imput_tokens,1\n"), "--yes")
    assert "csv[2].meter: is not a meter; did you mean llm.input_tokens" in meter.errors
    assert (await ctl("prices", "publish", "cost", str(tmp_path / "none.csv"))).status == 2
    latin = tmp_path / "latin.csv"
    latin.write_bytes("meter,source\n…".encode("utf-16"))
    assert "is not UTF-8 text" in (await ctl("prices", "publish", "cost", str(latin))).errors


async def test_the_daily_refresh(priced: Ctl, tmp_path: Path) -> None:
    refresh = ("prices", "import", str(_LITELLM), "--book", "cost", "--effective", "tomorrow", "--zone", "Asia/Tokyo")
    first = await priced.ok(*refresh, "--yes", "--json")
    assert first.json["published"] is True
    assert first.json["count"]["added"] == first.json["price_count"] > 30
    assert {entry["reason"] for entry in first.json["skipped"]} >= {"retired by its provider", "not a model"}
    assert sum(entry["count"] for entry in first.json["skipped"]) == first.json["skipped_count"]
    begins = datetime.fromisoformat(first.json["version"]["effective_time"])
    assert begins.astimezone(UTC).strftime("%H:%M:%S") == "15:00:00"
    assert timedelta(0) < begins - datetime.now(UTC) <= timedelta(days=1)

    again = await priced.ok(*refresh, "--yes", "--json")
    assert (again.json["published"], again.json["count"]["unchanged"] > 100) == (False, True)
    today = await priced.ok("prices", "list", "cost", "--provider", "northwind", "--json")
    tomorrow = await priced.ok(
        "prices", "list", "cost", "--provider", "northwind", "--at", begins.isoformat(), "--model", "north-1", "--json"
    )
    assert (today.json, len(tomorrow.json)) == ([], 5)

    # Prices of our own over those of tomorrow stay, whoever runs the refresh again.
    own = "meter,provider,model,unit_price\nllm.input_tokens,northwind,north-1,0.000002\n"
    await priced("prices", "publish", "cost", "-", "--effective", begins.isoformat(), "--yes", stdin=own)
    third = await priced.ok(*refresh, "--yes")
    assert "This was done before with the same key; nothing happened again." in third.output
    async with PricingClient(priced.target) as pricing:
        (price,) = [
            price
            async for price in pricing.list_prices(
                "cost", at=begins, meter="llm.input_tokens", provider="northwind", model="north-1"
            )
        ]
    assert price.per_quantity == 1

    # A newer file comes over them, and they over it when they are published once more.
    content = json.loads(_LITELLM.read_text("utf-8"))
    content["northwind/north-1"]["output_cost_per_token"] = 2e-05
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps(content), "utf-8")
    fourth = await priced.ok(*refresh[:2], str(newer), *refresh[3:], "--yes", "--json")
    assert fourth.json["count"]["changed"] == 2
    last = await priced(
        "prices", "publish", "cost", "-", "--effective", begins.isoformat(), "--yes", "--json", stdin=own
    )
    assert (last.json["published"], last.json["replayed"], last.json["count"]["changed"]) == (True, False, 1)


async def test_an_import_tells_what_it_skips(ctl: Ctl) -> None:
    await ctl.ok("prices", "create", "cost", "--side", "cost", "--currency", "USD")
    shown = await ctl.ok("prices", "import", str(_LITELLM), "--book", "cost", "--dry-run")
    assert "SKIPPED  BECAUSE" in shown.output
    assert "      1  retired by its provider" in shown.output
    assert "llm.long_input_tokens" in shown.output
    refused = await ctl("prices", "import", "--book", "cost", "--format", "litellm", "-", stdin="{}")
    assert refused.status == 2
    assert "not a LiteLLM price file" in refused.errors
    refused = await ctl("prices", "import", "--book", "cost", "examples/prices.csv")
    assert refused.status == 2
    assert "add --format csv" in refused.errors


async def test_an_import_from_the_installed_package(ctl: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await ctl.ok("prices", "create", "cost", "--side", "cost", "--currency", "USD")
    missing = await ctl("prices", "import", "--from-package", "--book", "cost")
    assert missing.status == 2
    assert "the package litellm is not installed here" in missing.errors
    package = tmp_path / "litellm"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('it is found, not run')", "utf-8")
    (package / "model_prices_and_context_window_backup.json").write_bytes(_LITELLM.read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path))
    done = await ctl.ok("prices", "import", "--from-package", "--book", "cost", "--yes", "--json")
    assert done.json["published"] is True


@pytest.mark.parametrize(
    "arguments",
    [
        ("prices", "import", "--book", "cost"),
        ("prices", "import", "x.json", "--from-package", "--book", "cost"),
        ("prices", "import", "--from-package", "--format", "csv", "--book", "cost"),
        ("prices", "import", "x.json", "--format", "xml", "--book", "cost"),
        ("prices", "publish", "cost", "examples/prices.csv", "--effective", "someday"),
        ("prices", "assign", "cost", "--yes"),
        ("prices", "assign", "cost", "--account", "acme", "--default", "--yes"),
        ("prices", "unassign", "--yes"),
        ("prices", "override", "acme"),
        ("prices", "override", "acme", "stt.seconds"),
        ("prices", "override", "acme", "stt.seconds", "--end"),
        ("prices", "override", "acme", "stt.seconds", "--unit-price", "1", "--margin", "2"),
        ("prices", "override", "acme", "stt.seconds", "--unit-price", "-1"),
        ("prices", "override", "acme", "stt.seconds", "--unit-price", "1", "--increments", "30"),
        ("prices", "list", "cost", "--version", "1", "--at", "today"),
        ("prices", "list", "cost", "--version", "0"),
        ("prices", "rate", "cost", "EUR", "x"),
        ("prices", "explain", "acme", "stt.seconds", "many"),
        ("quote", _LINE),
        ("quote", _LINE, "--account", "acme", "--book", "retail"),
        ("quote", "stt.seconds", "--account", "acme"),
        ("quote", "stt.seconds=1,size=2", "--account", "acme"),
    ],
    ids=" ".join,
)
async def test_what_makes_no_sense_is_not_asked(arguments: tuple[str, ...]) -> None:
    done = await Ctl("127.0.0.1:1")(*arguments, "--json")
    assert (done.status, done.error["reason"]) == (2, "USAGE")


async def test_a_quote(priced: Ctl) -> None:
    call = "telephony.outbound_seconds=90,provider=twilio,to=+14155550100"
    table = await priced.ok("quote", "--account", "acme", _LINE, call)
    assert [line.split() for line in table.output.splitlines()[:3]] == [
        ["METER", "PROVIDER", "MODEL", "DESTINATION", "QUANTITY", "PRICE", "COST"],
        ["llm.input_tokens", "openai", "gpt-4o", "-", "1200", "0.0042", "USD", "0.003", "USD"],
        ["telephony.outbound_seconds", "twilio", "-", "14155550100", "90", "0.045", "USD", "0.028", "USD"],
    ]
    quote = await priced.ok("quote", "--account", "acme", _LINE, call, "--json")
    assert (quote.json["price"], quote.json["cost"], quote.json["margin"]) == ("0.0492", "0.031", "0.0182")
    assert [line["quantity"] for line in quote.json["lines"]] == ["1200", "90"]
    by_book = await priced.ok("quote", "--book", "retail", _LINE, "--csv")
    assert (by_book.rows[0]["price"], by_book.rows[0]["exact_cost"]) == ("0.0042", "0.003")
    unknown = await priced("quote", "--account", "acme", "llm.input_tokens=1,provider=nobody", "--json")
    assert (unknown.status, unknown.error["reason"]) == (1, "PRICE_NOT_FOUND")


async def test_a_cost_that_nobody_knows_is_not_shown_as_zero(priced: Ctl) -> None:
    lines = (_LINE, "api.requests=5")
    table = await priced.ok("quote", "--account", "acme", *lines)
    *shown, sentence = table.output.splitlines()[2:]
    assert sentence == "No COST book has a price for api.requests: cost and margin are unknown."
    assert [line.split() for line in shown] == [
        ["api.requests", "-", "-", "-", "5", "1.00", "USD", "-"],
        [],
        ["price", "1.0042", "USD"],
        ["cost", "-"],
        ["margin", "-"],
        ["margin", "in", "%", "-"],
        [],
    ]
    quote = (await priced.ok("quote", "--account", "acme", *lines, "--json")).json
    assert (quote["cost"], quote["margin"], quote["margin_percent"]) == (None, None, None)
    assert [(line["cost"], line["exact_cost"]) for line in quote["lines"]] == [("0.003", "0.003"), (None, None)]
    rows = (await priced.ok("quote", "--account", "acme", *lines, "--csv")).rows
    assert [(row["cost"], row["exact_cost"]) for row in rows] == [("0.003", "0.003"), ("", "")]
    told = await priced.ok("prices", "explain", "acme", "api.requests", "5")
    assert told.output.splitlines()[:3] == [
        "5 on api.requests for acme: 1.00 USD",
        "cost unknown, and so is the margin: no COST book has a price for it",
        "exactly 1",
    ]


async def test_a_charge_of_unknown_cost_has_no_margin(priced: Ctl) -> None:
    await priced.ok("credit", "add", "acme", "10")
    async with PricingClient(priced.target) as client:
        usage = [UsageLine(meter="api.requests", quantity=Decimal(5)), parse_line(_LINE)]
        done = await client.charge("acme", usage=usage, call_id="call-1")
    assert [(line.cost, line.margin) for line in done.charge.lines] == [
        (None, None),
        (Decimal("0.003"), Decimal("0.0012")),
    ]
    told = await priced.ok("explain", done.transaction_id)
    assert "No COST book has a price for api.requests: cost and margin are unknown." in told.output
    lines = (await priced.ok("explain", done.transaction_id, "--json")).json["lines"]
    assert [(line["cost"], line["margin"]) for line in lines] == [(None, None), ("0.003", "0.0012")]


async def test_own_costs_of_a_call_are_part_of_a_quote(priced: Ctl) -> None:
    own = "meter,charge_model,unit_price\ninfrastructure.hosting,FLAT,0.02\n"
    await priced("prices", "publish", "cost", "-", "--yes", stdin=own)
    quote = await priced.ok("quote", "--account", "acme", _LINE, "--json")
    assert [(line["meter"], line["price"], line["cost"]) for line in quote.json["lines"]] == [
        ("llm.input_tokens", "0.0042", "0.003"),
        ("infrastructure.hosting", None, "0.02"),
    ]
    assert quote.json["margin"] == "-0.0188"


async def test_explain_says_which_price_and_why(priced: Ctl) -> None:
    told = await priced.ok(
        "prices", "explain", "acme", "llm.input_tokens", "1200", "--provider", "openai", "--model", "gpt-4o"
    )
    assert told.output.splitlines() == [
        "1200 on llm.input_tokens for acme: 0.0042 USD",
        "cost 0.003 USD, margin 0.0012 USD",
        "exactly 0.0042, cost 0.003",
        "",
        "price: book retail version 1, every meter of llm, any provider, any model",
        "cost: book cost version 1, meter llm.input_tokens, provider openai, model gpt-4o",
    ]
    machine = await priced.ok(
        "prices", "explain", "acme", "stt.seconds", "--provider", "deepgram", "--model", "nova-3", "--json"
    )
    assert machine.json[0]["cost_version"].startswith("ver_")


async def test_overrides_of_one_account(priced: Ctl) -> None:
    call = "telephony.outbound_seconds=90,provider=twilio,to=+4930123456"
    price = ("--prefix", "+49", "--unit-price", "0.03", "--per", "60", "--increments", "1/1")
    override = ("prices", "override", "acme", "telephony.outbound_seconds", *price)
    before = (await priced.ok("quote", "--account", "acme", call, "--json")).json["price"]
    dry = await priced.ok(*override, "--dry-run")
    assert "0.03 per 60, by 1/1" in dry.output
    assert (await priced.ok("quote", "--account", "acme", call, "--json")).json["price"] == before
    await priced.ok(*override, "--yes")
    assert (await priced.ok("quote", "--account", "acme", call, "--json")).json["price"] == "0.045"
    (book,) = (await priced.ok("prices", "books", "--account", "acme", "--json")).json
    assert book["account_id"] == "acme"
    await priced.ok("prices", "override", "acme", "--end", "--yes")
    assert (await priced.ok("quote", "--account", "acme", call, "--json")).json["price"] == before


async def test_who_is_priced_by_what(priced: Ctl) -> None:
    await priced.ok("prices", "create", "vip", "--side", "sale", "--currency", "USD")
    await priced("prices", "publish", "vip", "-", "--yes", stdin="meter,margin_percent\nllm.*,10\n")
    assert (await priced("prices", "assign", "vip", "--account", "acme")).status == 6
    done = await priced.ok("prices", "assign", "vip", "--account", "acme", "--yes", "--json")
    assert (done.json["account_id"], done.json["price_book_id"], done.json["side"]) == ("acme", "vip", "SALE")
    assert (await priced.ok("quote", "--account", "acme", _LINE, "--json")).json["price"] == "0.0033"
    ended = await priced.ok("prices", "unassign", "--account", "acme", "--yes", "--json")
    assert ended.json["price_book_id"] == ""
    assert (await priced.ok("quote", "--account", "acme", _LINE, "--json")).json["price"] == "0.0042"
    later = await priced.ok(
        "prices", "assign", "vip", "--account", "acme", "--effective", "tomorrow", "--yes", "--json"
    )
    assert datetime.fromisoformat(later.json["effective_time"]) > datetime.now(UTC)
    assert (await priced.ok("quote", "--account", "acme", _LINE, "--json")).json["price"] == "0.0042"
    at = await priced.ok("quote", "--account", "acme", _LINE, "--at", later.json["effective_time"], "--json")
    assert at.json["price"] == "0.0033"


async def test_an_exchange_rate(priced: Ctl) -> None:
    await priced.ok("accounts", "create", "berlin", "--currency", "EUR")
    await priced.ok("prices", "create", "preise", "--side", "sale", "--currency", "EUR")
    await priced("prices", "publish", "preise", "-", "--yes", stdin="meter,margin_percent\n*,100\n")
    await priced.ok("prices", "assign", "preise", "--default", "--yes")
    unknown = await priced("quote", "--account", "berlin", _LINE, "--json")
    assert (unknown.status, unknown.error["values"]["side"]) == (1, "COST")
    done = await priced.ok("prices", "rate", "cost", "eur", "0.9", "--json")
    assert (done.json["currency_code"], done.json["rate"]) == ("EUR", "0.9")
    assert (await priced.ok("quote", "--account", "berlin", _LINE, "--json")).json["price"] == "0.0054"


async def test_meters(ctl: Ctl) -> None:
    listed = await ctl.ok("prices", "meters", "--json")
    assert {meter["name"] for meter in listed.json} > {"stt.seconds", "llm.input_tokens", "media.images"}
    assert {row["category"] for row in (await ctl.ok("prices", "meters", "--category", "tts", "--csv")).rows} == {"tts"}


async def test_the_same_key_publishes_once(ctl: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await ctl.ok("prices", "create", "cost", "--side", "cost", "--currency", "USD")
    one = _file(tmp_path, "meter,unit_price\nstt.seconds,1\n", "one.csv")
    two = _file(tmp_path, "meter,unit_price\nstt.seconds,2\n", "two.csv")
    await ctl.ok("prices", "publish", "cost", one, "--key", "k1", "--yes")
    await ctl.ok("prices", "publish", "cost", two, "--key", "k2", "--yes")
    again = await ctl.ok("prices", "publish", "cost", one, "--key", "k1", "--yes", "--json")
    assert (again.json["replayed"], again.json["version"]["number"]) == (True, 1)
    reused = await ctl("prices", "publish", "cost", one, "--key", "k2", "--yes", "--json")
    assert (reused.status, reused.error["reason"]) == (1, "IDEMPOTENCY_KEY_REUSED")
    # The same file is one request for a day, and another one for the next day.
    refresh = ("prices", "import", one, "--format", "csv", "--book", "cost")
    day = datetime(2027, 1, 1, 12, tzinfo=UTC)
    keys = []
    for now in (day, day, day + timedelta(days=1)):
        monkeypatch.setattr(Session, "now", lambda _, now=now: now)
        done = await ctl.ok(*refresh, "--effective", "tomorrow", "--yes", "--json")
        keys.append(done.json["idempotency_key"])
    assert keys[0] == keys[1] != keys[2]
