"""What the columns and codes of the published HANCOCK tables mean.

The tables hold numbers where the records hold words: no/yes is 0/1, and the words of every other
column are numbered in alphabetical order, capitals first. Names here are those of the sample
sheets; a code that stands for "unknown" becomes an empty cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NO_YES = {"0": "no", "1": "yes"}


@dataclass(frozen=True)
class Variable:
    """A covariate: the column it comes from, and the word of every code; no codes = a number."""

    column: str
    codes: Mapping[str, str] = field(default_factory=dict)


def numbered(*words: str) -> dict[str, str]:
    """The codes of words that are numbered from 0."""
    return {str(code): word for code, word in enumerate(words)}


# Left out, because it is not known at the start of follow-up: primarily_metastasis. The name says
# "at diagnosis", but every patient who has it also has an event of recurrence-free survival, some
# of them three years after treatment, so it seems to be filled in with hindsight. Adjuvant
# treatment, which is decided after the operation, is in none of these tables.
CLINICAL = {
    "age": Variable("age_at_initial_diagnosis"),
    "sex": Variable("sex", numbered("male", "female")),
    "smoking": Variable("smoking_status", numbered("former", "never", "current", "")),
}

# Findings on the specimen of the first operation. resection_status_carcinoma_in_situ is left out:
# it repeats carcinoma_in_situ, but for a handful of patients.
PATHOLOGICAL = {
    "tumour_site": Variable(
        "primary_tumor_site",
        numbered("unknown primary", "hypopharynx", "larynx", "oral cavity", "oropharynx"),
    ),
    # Only cancers of the oropharynx are tested; those that are positive are not graded.
    "p16": Variable("hpv_association_p16", numbered("negative", "", "positive")),
    "grade": Variable("grading", numbered("G1", "G2", "G3", "")),
    "histology": Variable(
        "histologic_type",
        numbered("other", "other", "other", "basaloid", "keratinising", "non-keratinising")
        | dict.fromkeys(("6", "7", "8"), "other"),
    ),
    # Tis, TX, T1, T1a, T1b, T2, T3, T4a, T4b
    "pT": Variable("pT_stage", numbered("Tis", "", "T1", "T1", "T1", "T2", "T3", "T4", "T4")),
    # NX, N0, N1, N1a, N2, N2a, N2b, N2c, N3, N3b
    "pN": Variable("pN_stage", numbered("", "N0", "N1", "N1", "N2", "N2", "N2", "N2", "N3", "N3")),
    "positive_nodes": Variable("number_of_positive_lymph_nodes"),
    "extranodal_extension": Variable("perinodal_invasion", NO_YES),
    "depth_mm": Variable("infiltration_depth_in_mm"),
    "lymphatic_invasion": Variable("lymphovascular_invasion_L", NO_YES),
    "vascular_invasion": Variable("vascular_invasion_V", NO_YES),
    "perineural_invasion": Variable("perineural_invasion_Pn", NO_YES),
    "carcinoma_in_situ": Variable("carcinoma_in_situ", NO_YES),
    "resection": Variable("resection_status", numbered("R0", "R1", "R2", "")),
}

BLOOD = {
    "leukocytes": "Leukocytes [#/volume] in Blood",
    "haemoglobin": "Hemoglobin [Mass/volume] in Blood",
    "platelets": "Platelets [#/volume] in Blood",
    "erythrocytes": "Erythrocytes [#/volume] in Blood",
    "haematocrit": "Hematocrit [Volume Fraction] of Blood",
    "mch": "Erythrocyte mean corpuscular hemoglobin [Entitic mass]",
    "mcv": "Erythrocyte mean corpuscular volume [Entitic volume]",
    "mchc": "Erythrocyte mean corpuscular hemoglobin concentration [Mass/volume]",
    "erythrocyte_width": "Erythrocyte distribution width [Ratio]",
    "platelet_volume": "Platelet mean volume [Entitic volume] in Blood",
    "granulocytes": "Granulocytes [#/volume] in Blood",
    "eosinophils": "Eosinophils [#/volume] in Blood",
    "basophils": "Basophils [#/volume] in Blood",
    "lymphocytes": "Lymphocytes [#/volume] in Blood",
    "monocytes": "Monocytes [#/volume] in Blood",
    "platelet_width": "Platelet distribution width [Entitic volume] in Blood by Automated count",
}

# Stained cells per area, in the centre of the tumour and at its invasive front.
CELL_DENSITY = {
    "CD3_centre": "cd3_z",
    "CD3_front": "cd3_inv",
    "CD8_centre": "cd8_z",
    "CD8_front": "cd8_inv",
}

STAINS = ("HE", "CD3", "CD8", "CD56", "CD68", "CD163", "MHC1", "PDL1")
