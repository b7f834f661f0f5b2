"""What may not reach the log: values of rows, in whatever error they come."""

import psycopg

from imprest_server.logs import show_exception


class Failed(psycopg.Error):
    class diag:  # noqa: N801  # the driver's name
        message_detail = "Failing row contains (a, 42,\n secret)."
        context = "COPY line 1: secret"

    def __str__(self) -> str:
        return f"a check failed\nDETAIL:  {self.diag.message_detail}\nCONTEXT:  {self.diag.context}"


def test_row_values_are_left_out_also_of_causes() -> None:
    try:
        try:
            raise Failed
        except Failed as error:
            raise RuntimeError("batch failed") from error
    except RuntimeError as error:
        event = show_exception(None, "error", {"event": "x", "exc_info": error})
    text = event["exception"]
    assert "a check failed" in text
    assert "batch failed" in text
    assert text.count("(not logged)") == 2
    assert "secret" not in text
    assert "exc_info" not in event


def test_the_current_exception() -> None:
    try:
        raise ValueError("here")
    except ValueError:
        event = show_exception(None, "error", {"event": "x", "exc_info": True})
    assert event["exception"].endswith("ValueError: here")


def test_without_exception() -> None:
    assert show_exception(None, "info", {"event": "x", "exc_info": False}) == {"event": "x"}
