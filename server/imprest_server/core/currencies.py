"""The currencies there are: a mistyped code must not open a wallet, a price book or a budget beside the right one."""

from __future__ import annotations

import re
from typing import Final

# The active codes of ISO 4217 in 2026, funds and metals included, without the code for "no currency". Amounts of
# accounts that were opened in a currency that is no more are not checked against this.
_ACTIVE = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL
HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA
MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD
RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XTS XUA YER
ZAR ZMW ZWG
"""
CURRENCIES: Final = frozenset(_ACTIVE.split())

_SHAPE = re.compile(r"[A-Z]{3}")


def currency_problem(code: str) -> str | None:
    """What is wrong with the currency of something new; None: nothing."""
    if code in CURRENCIES:
        return None
    if not code:
        return "is required"
    return "is no currency of ISO 4217" if _SHAPE.fullmatch(code) else "must be three upper-case letters (ISO 4217)"
