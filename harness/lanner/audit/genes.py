"""Whether two names are one gene."""

from __future__ import annotations

import re

ALIASES: dict[str, tuple[str, ...]] = {
    "ABCB1": ("MDR1",),
    "ARID1A": ("BAF250A",),
    "BCL11A": ("CTIP1",),
    "BCL11B": ("CTIP2",),
    "CCL2": ("MCP1",),
    "CD274": ("PDL1", "B7H1"),
    "CDKN1A": ("P21", "CIP1", "WAF1"),
    "CDKN1B": ("P27", "KIP1"),
    "CDKN2A": ("P16", "INK4A"),
    "CGAS": ("MB21D1",),
    "CREBBP": ("CBP",),
    "CXCL8": ("IL8",),
    "DDIT3": ("CHOP", "GADD153"),
    "EIF2AK3": ("PERK",),
    "ENTPD1": ("CD39",),
    "EP300": ("P300",),
    "ERBB2": ("HER2", "NEU"),
    "ERN1": ("IRE1",),
    "FAS": ("CD95", "APO1"),
    "H2AX": ("H2AFX",),
    "HAVCR2": ("TIM3",),
    "HSPA5": ("BIP", "GRP78"),
    "IFNB1": ("IFNB",),
    "IKZF1": ("IKAROS",),
    "IKZF3": ("AIOLOS",),
    "IL2RA": ("CD25",),
    "KDM1A": ("LSD1", "AOF2"),
    "KMT2A": ("MLL", "MLL1"),
    "MAP2K1": ("MEK1",),
    "MAP2K2": ("MEK2",),
    "MAPK1": ("ERK2",),
    "MAPK3": ("ERK1",),
    "MAPK8": ("JNK1",),
    "MRTFA": ("MKL1",),
    "MS4A1": ("CD20",),
    "MTOR": ("FRAP1",),
    "MYC": ("CMYC",),
    "NSD2": ("WHSC1", "MMSET"),
    "NT5E": ("CD73",),
    "PDCD1": ("PD1",),
    "PDCD1LG2": ("PDL2",),
    "POU5F1": ("OCT4", "OCT3"),
    "PRDM1": ("BLIMP1",),
    "PTPN11": ("SHP2",),
    "PTPRC": ("CD45",),
    "RELA": ("P65",),
    "RUNX1": ("AML1", "CBFA2"),
    "SLC2A1": ("GLUT1",),
    "SMARCA4": ("BRG1",),
    "SMARCB1": ("INI1", "SNF5"),
    "SPI1": ("PU1",),
    "STING1": ("TMEM173", "STING"),
    "TBXT": ("BRACHYURY",),
    "TNF": ("TNFA",),
    "TP53": ("P53",),
    "VSIR": ("VISTA", "C10ORF54"),
    "ZBTB7A": ("LRF",),
}
"""Approved symbols and their best-known alias or previous symbols: HGNC, genenames.org, public domain (CC0).

A selection of what screens use, in the form ``canonical_gene`` gives: upper case, no hyphen, dot or blank.
"""

_APPROVED = {alias: symbol for symbol, names in ALIASES.items() for alias in names}
_RENAMED = (  # HGNC 2020: names that spreadsheets take for dates
    (re.compile(r"SEPT([0-9]{1,2})"), r"SEPTIN\1"),
    (re.compile(r"MARCH([0-9]{1,2})"), r"MARCHF\1"),
)
_CLONE = re.compile(r"(RP[0-9]|CT[ABCD]|AC|AL|AP|LINC)[0-9]+.*", re.IGNORECASE)
_ENSEMBL = re.compile(r"(ENS[A-Z]*G[0-9]{11})\.[0-9]+", re.IGNORECASE)
_UNIQUE = re.compile(r"(.+)[.]1")
_GUIDE = re.compile(r"(.{2,}?)[-_. ]+(?:sg|g|gr|grna|sgrna|guide)?[-_]?[0-9]{1,2}", re.IGNORECASE)


def canonical_gene(name: str) -> str:
    """One name for all spellings of a gene known here: case, hyphens, a ``.1`` of R's make.unique, aliases.

    >>> canonical_gene("Pd-l1"), canonical_gene("ENSG00000141510.18"), canonical_gene("TP53.1")
    ('CD274', 'ENSG00000141510', 'TP53')
    """
    name = name.strip()
    ensembl = _ENSEMBL.fullmatch(name)
    if ensembl:
        return ensembl[1].upper()
    unique = _UNIQUE.fullmatch(name)
    if unique and not _CLONE.fullmatch(name):
        name = unique[1] if unique[1].upper() not in ("PU", "NKX2") else name
    if _CLONE.fullmatch(name):  # a clone's name is nothing without its punctuation
        return name.upper()
    plain = re.sub(r"[-_. ]", "", name).upper()
    for pattern, approved in _RENAMED:
        plain = pattern.sub(approved, plain) if pattern.fullmatch(plain) else plain
    return _APPROVED.get(plain, plain)


def guided_gene(name: str) -> str | None:
    """The gene a label would target if it named a guide, ``KLF1_sg2``; None where it does not look so."""
    match = _GUIDE.fullmatch(name.strip())
    return canonical_gene(match[1]) if match else None
