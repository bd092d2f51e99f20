"""Run by DIALS' own Python: what a processing found, beside the truth, as JSON."""

import json
import sys
from pathlib import Path

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory
from iotbx import mtz


def read(name):
    return ExperimentListFactory.from_json_file(name, check_format=False)[0]


def squared_amplitudes(name):
    """F² by index in the asymmetric unit, mean of both Friedel mates."""
    found = {}
    for array in mtz.object(name).as_miller_arrays():
        if "F-model(+)" in array.info().labels:
            array = array.amplitudes().average_bijvoet_mates().map_to_asu()
            found = {h: f * f for h, f in zip(array.indices(), array.data(), strict=True)}
            return found, array.space_group()
    raise SystemExit("no amplitudes")


folder, truth_name, mtz_name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
truth, refined = read(truth_name), read(str(folder / "refined.expt"))
indexed = flex.reflection_table.from_file(str(folder / "indexed.refl"))
strong = flex.reflection_table.from_file(str(folder / "strong.refl"))
squares, group = squared_amplitudes(mtz_name)
table = flex.reflection_table.from_file(str(folder / "integrated.refl"))
table = table.select(table.get_flags(table.flags.integrated_sum))
table = table.select(table["partiality"] > 0.99)
intensity = table["intensity.sum.value"] * table["lp"] / table["qe"]
hkl = table["miller_index"]
from cctbx.miller import map_to_asu  # noqa: E402

map_to_asu(group.type(), False, hkl)
pairs = [(i, squares[h]) for i, h in zip(intensity, hkl, strict=True) if h in squares]
ours, theirs = (flex.double(column) for column in zip(*pairs, strict=True))
true_panel, panel = truth.detector[0], refined.detector[0]
s0 = truth.beam.get_s0()
print(
    json.dumps(
        {
            "strong": len(strong),
            "indexed": int((indexed["id"] >= 0).count(True)),
            "cell": refined.crystal.get_unit_cell().parameters(),
            "true_cell": truth.crystal.get_unit_cell().parameters(),
            "beam_px": panel.get_beam_centre_px(refined.beam.get_s0()),
            "true_beam_px": true_panel.get_beam_centre_px(s0),
            "distance_mm": panel.get_directed_distance(),
            "true_distance_mm": true_panel.get_directed_distance(),
            "reflections": len(pairs),
            "correlation": flex.linear_correlation(ours, theirs).coefficient(),
        }
    )
)
