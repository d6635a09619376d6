"""Tables in files: CSV, Parquet and JSON Lines, read and written as streams in constant memory.

CSV and JSON Lines may lie in gzip or zstd (`compression`).

    profile(path, format)          → what is in it, every row checked
    read(path, format, columns)    → record batches of known types
    read_rows(…)                   → the same, and what is wrong with the rows that cannot be read
    open_writer(path, format, …)   → the way back
    split(path, format, …)         → pieces that can be read on their own

Every complaint about a file is an InvalidInput (422) whose message names the place. Codes:

    empty_table         no bytes, or no columns
    no_rows             columns but no rows
    too_many_columns    over Limits.max_columns
    too_many_cells      JSON Lines, Parquet: a few bytes that stand for a huge table
    empty_column_name   a name of no characters
    bad_column_name     a control character in a name, or a name over Limits.max_name_length
    duplicate_column    two columns (or keys of one object) with one name
    missing_column      `read` was asked for a column that is not there
    type_mismatch       `read` met a cell that does not fit the declared type
    row_too_long        a CSV row or JSON line over Limits.max_row_bytes
    nul_byte            CSV, JSON Lines: a NUL byte
    invalid_utf8        CSV, JSON Lines: bytes that are not UTF-8
    ragged_row          CSV: a row with more or fewer values than the header
    stray_quote         CSV: a quote in the middle of a value
    unbalanced_quotes   CSV: a quote that is never closed
    bad_csv             CSV: anything else that Arrow's parser refuses
    bad_json_line       JSON Lines: not JSON, not an object, NaN, a number no double can hold
    nested_value        JSON Lines: an array or object as a value
    mixed_types         JSON Lines: one key with values of different types
    corrupt_compression     CSV, JSON Lines: a gzip or zstd stream that is damaged or cut short
    decompressed_too_large  CSV, JSON Lines: a gzip or zstd stream that unpacks to too much
    compressed_parquet      Parquet inside a gzip or zstd file
    corrupt_parquet     Parquet: damaged or cut short
    too_costly          Parquet: a page or a length that needs more memory than there is
    nested_column       Parquet: a list, struct or map
    schema_mismatch     files of one table that have different columns
    unsupported_type    Parquet: binary, time, duration and other types with no column type
"""

from shared.tables.column_types import canonical_type, column_type
from shared.tables.compression import Compression, compression_in, compression_named, compression_of
from shared.tables.contracts import Limits, Piece, Profile
from shared.tables.heads import keep_whole_rows
from shared.tables.joining import joint_columns
from shared.tables.parquet_reader import columns_of
from shared.tables.profiling import profile
from shared.tables.reading import preview, read, read_all, read_rows
from shared.tables.rows import BadRow, Rows
from shared.tables.splitting import footer, split
from shared.tables.writing import Writer, open_writer

__all__ = [
    "Compression",
    "BadRow",
    "Limits",
    "Piece",
    "Profile",
    "Rows",
    "Writer",
    "canonical_type",
    "column_type",
    "compression_in",
    "compression_named",
    "compression_of",
    "columns_of",
    "footer",
    "joint_columns",
    "keep_whole_rows",
    "open_writer",
    "preview",
    "profile",
    "read",
    "read_all",
    "read_rows",
    "split",
]
