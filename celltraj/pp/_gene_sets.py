"""Genes that tell of division and death, and where they stand in the user's data.

- Proliferation: the genes of S phase (43) and of G2 and M phase (54) of Tirosh et al., *Dissecting
  the multicellular ecosystem of metastatic melanoma by single-cell RNA-seq* (2016).
- Apoptosis: the hallmark set ``HALLMARK_APOPTOSIS`` (161 genes) of MSigDB 7.5.1, licence CC BY 4.0,
  unchanged: Liberzon et al., *The Molecular Signatures Database hallmark gene set collection*
  (2015).
- Mouse: the orthologues of both; all but the few in ``_MOUSE`` are spelt alike in title case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from celltraj._errors import some

_SHOWN = 10
_S = """
ATAD2 BLM BRIP1 CASP8AP2 CCNE2 CDC45 CDC6 CDCA7 CHAF1B CLSPN DSCC1 DTL E2F8 EXO1 FEN1 GINS2 GMNN
HELLS MCM2 MCM4 MCM5 MCM6 MLF1IP MSH2 NASP PCNA POLA1 POLD3 PRIM1 RAD51 RAD51AP1 RFC2 RPA2 RRM1
RRM2 SLBP TIPIN TYMS UBR7 UHRF1 UNG USP1 WDR76
"""
_G2M = """
ANLN ANP32E AURKA AURKB BIRC5 BUB1 CBX5 CCNB2 CDC20 CDC25C CDCA2 CDCA3 CDCA8 CDK1 CENPA CENPE CENPF
CKAP2 CKAP2L CKAP5 CKS1B CKS2 CTCF DLGAP5 ECT2 FAM64A G2E3 GAS2L3 GTSE1 HJURP HMGB2 HMMR HN1 KIF11
KIF20B KIF23 KIF2C LBR MKI67 NCAPD2 NDC80 NEK2 NUF2 NUSAP1 PSRC1 RANGAP1 SMC4 TACC3 TMPO TOP2A TPX2
TTK TUBB4B UBE2C
"""
_APOPTOSIS = """
ADD1 AIFM3 ANKH ANXA1 APP ATF3 AVPR1A BAX BCAP31 BCL10 BCL2L1 BCL2L10 BCL2L11 BCL2L2 BGN BID BIK
BIRC3 BMF BMP2 BNIP3L BRCA1 BTG2 BTG3 CASP1 CASP2 CASP3 CASP4 CASP6 CASP7 CASP8 CASP9 CAV1 CCNA1
CCND1 CCND2 CD14 CD2 CD38 CD44 CD69 CDC25B CDK2 CDKN1A CDKN1B CFLAR CLU CREBBP CTH CTNNB1 CYLD DAP
DAP3 DCN DDIT3 DFFA DIABLO DNAJA1 DNAJC3 DNM1L DPYD EBP EGR3 EMP1 ENO2 ERBB2 ERBB3 EREG ETF1 F2 F2R
FAS FASLG FDXR FEZ1 GADD45A GADD45B GCH1 GNA15 GPX1 GPX3 GPX4 GSN GSR GSTM1 GUCY2D H1-0 HGF HMGB2
HMOX1 HSPB1 IER3 IFITM3 IFNB1 IFNGR1 IGF2R IGFBP6 IL18 IL1A IL1B IL6 IRF1 ISG20 JUN KRT18 LEF1
LGALS3 LMNA LUM MADD MCL1 MGMT MMP2 NEDD9 NEFH PAK1 PDCD4 PDGFRB PEA15 PLAT PLCB2 PLPPR4 PMAIP1
PPP2R5B PPP3R1 PPT1 PRF1 PSEN1 PSEN2 PTK2 RARA RELA RETSAT RHOB RHOT2 RNASEL ROCK1 SAT1 SATB1 SC5D
SLC20A1 SMAD7 SOD1 SOD2 SPTAN1 SQSTM1 TAP1 TGFB2 TGFBR3 TIMP1 TIMP2 TIMP3 TNF TNFRSF12A TNFSF10
TOP2A TSPO TXNIP VDAC2 WEE1 XIAP
"""
_HUMAN = {"proliferation": tuple((_S + _G2M).split()), "apoptosis": tuple(_APOPTOSIS.split())}
_MOUSE = {"FASLG": "Fasl", "GUCY2D": "Gucy2e", "H1-0": "H1f0", "PEA15": "Pea15a"}
_BY_ORGANISM = {
    "human": _HUMAN,
    "mouse": {
        name: tuple(_MOUSE.get(gene, gene.capitalize()) for gene in genes)
        for name, genes in _HUMAN.items()
    },
}
# symbols that changed between annotations, either way
_ALSO = {
    "FAM64A": "PIMREG",
    "HN1": "JPT1",
    "MLF1IP": "CENPU",
    "H1-0": "H1F0",
    "PLPPR4": "LPPR4",
    "SC5D": "SC5DL",
    "Fam64a": "Pimreg",
    "Hn1": "Jpt1",
    "Mlf1ip": "Cenpu",
    "Plppr4": "Lppr4",
}


def gene_set(name: str, organism: str, given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the symbols that the user gave, or those that the package has for the organism.

    Raises
    ------
    ValueError
        An unknown organism, or an empty list.
    TypeError
        One text in place of a list.
    """
    if organism not in _BY_ORGANISM:
        raise ValueError(f"organism must be one of {tuple(_BY_ORGANISM)}; found {organism!r}")
    if given is None:
        return _BY_ORGANISM[organism][name]
    if isinstance(given, str):
        raise TypeError(f"{name} must be a list of gene symbols; found the text {given!r}")
    genes = tuple(dict.fromkeys(str(gene) for gene in given))
    if not genes:
        raise ValueError(f"{name} holds no genes; pass symbols, or None for the set of {organism}")
    return genes


def find_genes(
    name: str, genes: Sequence[str], var_names: pd.Index, min_share: float
) -> np.ndarray:
    """Return where each of ``(g,)`` genes stands among ``var_names``, -1 for one that is missing.

    Raises
    ------
    ValueError
        Names that are not unique, or less than ``min_share`` of the set, or nothing of it.
    """
    if not var_names.is_unique:
        raise ValueError("names of genes are not unique; call adata.var_names_make_unique() first")
    also = [_ALSO.get(gene, gene) for gene in genes]
    columns: np.ndarray = var_names.get_indexer(pd.Index(list(genes), dtype=object))
    columns = np.where(columns < 0, var_names.get_indexer(pd.Index(also, dtype=object)), columns)
    needed = max(1, math.ceil(min_share * len(genes)))
    if (columns >= 0).sum() < needed:
        missing = [gene for gene, column in zip(genes, columns, strict=True) if column < 0]
        raise ValueError(
            f"{len(genes) - len(missing)} of the {len(genes)} genes of {name} are in "
            f"adata.var_names, and min_share={min_share:g} asks for {needed}; missing: "
            f"{some(missing, _SHOWN)}. {_advice(name, missing, var_names)}"
        )
    return columns


def _advice(name: str, missing: list[str], var_names: pd.Index) -> str:
    if str(var_names[0] if len(var_names) else "").startswith("ENS"):
        return "adata.var_names look like Ensembl ids; put gene symbols there"
    in_other_case = {gene.upper() for gene in missing} & set(var_names.astype(str).str.upper())
    if in_other_case:
        return (
            f"{len(in_other_case)} of them are there in another case, so organism= or the case of "
            "adata.var_names is probably wrong"
        )
    return (
        f"Keep these genes when choosing variable ones, pass {name}= with genes that tell as much "
        "and are there, or lower min_share="
    )
