"""Three simulated patients who are in no study, of whom a package is asked for predictions."""

from __future__ import annotations

from pathlib import Path

from survfuse.core.files import atomic_path
from survfuse.simulation.cohort import draw_slides, patients_table, plan_slides, slides_table
from survfuse.simulation.genes import expression
from survfuse.simulation.sheets import write_table
from survfuse.simulation.truth import draw_truth

DRAWN = 24  # patients, of whom three are taken
COMPLETE, WITHOUT_GENES, UNLIKE = "new_complete", "new_without_genes", "new_unlike_the_study"
OLD = "104"  # years; older than anybody in the study
ANOTHER_LABORATORY = 1.7  # times what the study's laboratory would measure


def simulate_new_patients(study: int, out: Path, workers: int = 1) -> None:
    """Write the sheets of three patients to `out`: patients.tsv, omics.parquet and slides.tsv.

    One is complete, one has no genes, and one is unlike the patients of any study: very old, with
    genes on another scale. None has an outcome. `study`: the seed of the cohort that they could
    have been in.
    """
    truth = draw_truth(DRAWN, study + 1)
    plan = {
        spec: patient
        for spec, patient in plan_slides(truth).items()
        if not (spec.blank or spec.truncated)
    }
    measured = [
        patient
        for patient, has in zip(truth.patient_id.tolist(), truth.has_rna, strict=True)
        if has and patient in plan.values()
    ]
    names = dict(zip(measured, (COMPLETE, WITHOUT_GENES, UNLIKE), strict=False))
    plan = {spec: names[patient] for spec, patient in plan.items() if patient in names}
    draw_slides(list(plan), out / "slides", workers)
    write_table(out / "slides.tsv", slides_table(plan))
    patients = patients_table(truth).drop(columns=["time", "event", "site"])
    patients = patients[patients["patient_id"].isin(list(names))].replace({"patient_id": names})
    patients.loc[patients["patient_id"] == UNLIKE, "age"] = OLD
    write_table(out / "patients.tsv", patients)
    genes = expression(truth, laboratory=study)
    genes = genes[genes["patient_id"].isin(list(names))].replace({"patient_id": names})
    genes = genes[genes["patient_id"] != WITHOUT_GENES]
    other = genes["patient_id"] == UNLIKE
    columns = genes.columns.drop("patient_id")
    genes.loc[other, columns] *= ANOTHER_LABORATORY
    with atomic_path(out / "omics.parquet") as path:
        genes.to_parquet(path, index=False)
