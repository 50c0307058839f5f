from .calibrated_zero import (
    calibrated as calibrated,
    values_of as values_of,
    zero_of as zero_of,
)
from .contract import (
    Ceiling as Ceiling,
    Preparation as Preparation,
    Resampled as Resampled,
    Rules as Rules,
    Split as Split,
    of_neuroids as of_neuroids,
)
from .dimensionality import (
    dimensionality_table as dimensionality_table,
    effective_dimensionality as effective_dimensionality,
)
from .layer_choice import (
    along_layers as along_layers,
    as_layered as as_layered,
    codes_of as codes_of,
    collapsed as collapsed,
    measure_of as measure_of,
    read_out as read_out,
    score_layers as score_layers,
    unit_criterion as unit_criterion,
)
from .left_out_splits import MIN_TEST as MIN_TEST
from .mapping import (
    LayerMap as LayerMap,
    LinearMapping as LinearMapping,
)
from .permutations import (
    Exchangeable as Exchangeable,
    growing_blocks as growing_blocks,
    joined as joined,
)
from .permuted_choice import (
    PermutedChoice as PermutedChoice,
    distinct_layers as distinct_layers,
    mean_of_valid as mean_of_valid,
    optimistic_criterion as optimistic_criterion,
)
from .stages import (
    NESTED as NESTED,
    OVER_PARTICIPANTS as OVER_PARTICIPANTS,
    Stage as Stage,
    best_depths as best_depths,
    relative_depth as relative_depth,
    stage_of_participants as stage_of_participants,
)
from .stats import (
    DRAWS as DRAWS,
    aggregate as aggregate,
    by_blocks as by_blocks,
    by_participant as by_participant,
    draw_counts as draw_counts,
    over_participants as over_participants,
    paired_difference as paired_difference,
    paired_p as paired_p,
    subject_codes as subject_codes,
    widened as widened,
)
from .summary import (
    LayerValue as LayerValue,
    Summary as Summary,
    region_rows as region_rows,
    summarise as summarise,
)
