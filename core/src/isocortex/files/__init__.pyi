from .archives import opened_source as opened_source
from .array_files import check_hdf5 as check_hdf5, check_netcdf as check_netcdf, load_npy as load_npy
from .children import end_with_the_input as end_with_the_input, side_by_side as side_by_side
from .digests import (
    digest_file as digest_file,
    digest_files as digest_files,
    digest_of as digest_of,
    reading_every_byte as reading_every_byte,
    short as short,
)
from .disk import (
    check_space as check_space,
    data_folder as data_folder,
    folder_name as folder_name,
    write_atomic as write_atomic,
    write_json as write_json,
)
from .file_store import FileSpec as FileSpec, FileStore as FileStore, copy_file as copy_file, read_specs as read_specs
from .pickled_arrays import (
    ARRAYS as ARRAYS,
    Pickled as Pickled,
    Record as Record,
    as_size as as_size,
    as_text as as_text,
    described as described,
)
from .sealed import read_sealed as read_sealed, write_sealed as write_sealed
from .unpickle import read_bounded as read_bounded, read_pickle as read_pickle, read_records as read_records
from .whole_folders import whole_folder as whole_folder
