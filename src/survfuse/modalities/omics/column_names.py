"""Names of gene columns that are no genes: outcomes, clinical data, dates, counters of reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from survfuse.modalities.omics.sheet import OmicsSheet, type_of_columns
from survfuse.sheets.problems import Note, Problem

ENDPOINT = r"(os|dss|pfi|pfs|dfi|dfs|rfs|efs|ttp|overall|disease[ _.-]?specific|progression)"
MEASURE = r"(surv\w*|months?|days|years?|times?|status|events?|censor\w*|death)"
# Whole names; OS9, OSM, DEAF1 and BIRC5 (survivin) are genes.
OUTCOME = re.compile(
    rf"{ENDPOINT}([ _.-]\w+)?[ _.-]{MEASURE}([ _.-]\w+)*"
    r"|surviv(al|ed)([ _.-]\w+)*|(overall|disease|progression)[ _.-]?\w*[ _.-]?survival\w*"
    r"|censor(ed|ing|ship)?([ _.-]\w+)*|vital[ _.-]?status\w*|(is[ _.-])?(dead|deceased|died)"
    r"|(days|months|years|time)[ _.-]to[ _.-](death|event|last|follow|progression|recurr|relapse)"
    r"\w*([ _.-]\w+)*"
    r"|(death|event|relapse|recurrence|progression)[ _.-]?(status|time|indicator|observed|date)"
    r"|follow[ _.-]?up([ _.-]\w+)*|fu[ _.-]?(time|months|days|stat)|futime|fustat|event|events",
    re.IGNORECASE,
)
CLINICAL = {
    *("age", "sex", "gender", "is_female", "race", "ethnicity", "stage", "grade", "site"),
    *("tumor_stage", "tumor_grade", "oncotree_code", "batch", "plate", "center", "centre"),
    *("slide_id", "case_id", "sample_id", "sample", "sample_type", "train", "fold", "label"),
    *("index", "unnamed: 0", "age_at_diagnosis", "bmi"),
}
COUNTERS = re.compile(
    r"N_(unmapped|multimapping|noFeature|ambiguous)"
    r"|__(no_feature|ambiguous|too_low_aQual|not_aligned|alignment_not_unique)"
)
MONTH = "jan|feb|mar|mär|mrz|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez"
DATE = re.compile(
    rf"\d{{1,2}}[-. /]({MONTH})\.?(\.\d+)?|({MONTH})[- /]\d{{1,2}}(\.\d+)?"
    r"|(19|20)\d\d-\d\d-\d\d( 00:00:00)?|\d{1,2}/\d{1,2}/(19|20)\d\d",
    re.IGNORECASE,
)
DAY_NUMBER = re.compile(r"3[5-9]\d{3}|4\d{4}")  # 1995 to 2036, as Excel counts days
REPEATED = re.compile(r"(.+)\.\d{1,2}")  # how pandas and R rename repeated columns
FEW_NUMBERS = 0.2  # share of names; where more are numbers, they are ids of genes


def outcome_names(sheet: OmicsSheet, suffixes: Mapping[str, str]) -> list[Problem]:
    """Problems of columns that models would read and that are named like an outcome."""
    fault, remedy = "is named like an outcome", "remove it: a model must not read the outcome"
    return [
        sheet.ids.problem(None, name, fault, remedy)
        for name, gene in genes_of(sheet.columns, suffixes)
        if OUTCOME.fullmatch(gene)
    ]


def name_notes(sheet: OmicsSheet, suffixes: Mapping[str, str]) -> list[Note]:
    """Notes on names of columns that are hardly those of genes."""
    genes = [gene for _, gene in genes_of(sheet.columns, suffixes)]
    distinct, found = set(genes), []

    def note(names: Sequence[str], sentence: str, remedy: str) -> None:
        if names:
            text = f"{sentence}: {len(names)}."
            found.append(Note(str(sheet.ids.path), text, names[0], remedy))

    numbers = [gene for gene in genes if gene.isdigit()]
    days = numbers if len(numbers) < FEW_NUMBERS * len(genes) else []
    dates = [gene for gene in genes if DATE.fullmatch(gene)]
    dates += [gene for gene in days if DAY_NUMBER.fullmatch(gene)]
    note(
        dates,
        "Genes whose names a spreadsheet program has turned into dates",
        "correct them, e.g. 1-Mar: MARCHF1 or MTARC1, 2-Sep: SEPTIN2; import such columns as text",
    )
    clinical = [gene for gene in genes if gene.lower() in CLINICAL]
    remedy = "remove them; name covariates under cohort.covariates"
    note(clinical, "Columns of the gene matrix that are named like clinical data", remedy)
    counters = [gene for gene in genes if COUNTERS.fullmatch(gene)]
    note(counters, "Columns of the gene matrix that count reads outside genes", "remove them")
    repeated = [
        gene for gene in genes if (match := REPEATED.fullmatch(gene)) and match[1] in distinct
    ]
    note(repeated, "Genes that appear again under a number", "keep one column, or average them")
    return found


def genes_of(columns: Sequence[str], suffixes: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names of the columns that have a data type, and the same without its suffix."""
    kinds = type_of_columns(columns, suffixes)
    return [
        (name, name.removesuffix(suffixes[kind]))
        for name, kind in zip(columns, kinds, strict=True)
        if kind is not None
    ]
