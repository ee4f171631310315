//! A table as a Parquet file, in the types that Spark and `DuckDB` read alike.
//!
//! Spark refuses TIMESTAMP(NANOS) and reads unsigned 64-bit integers as decimals: moments are TIMESTAMP(MICROS, UTC),
//! integers INT64. Every column is OPTIONAL: what is not known is NULL.

use std::{ops::Range, sync::Arc};

use ::parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::Result,
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{Type, TypePtr},
};
use highwater::record::Timestamp;

/// Rows that stand together in the file; Spark shares them out among its workers.
const ROWS_PER_GROUP: usize = 1 << 20;

/// A table, column by column, all of one length.
#[derive(Debug)]
pub(crate) struct ParquetTable {
    /// The file's name without its ending.
    pub(crate) name: &'static str,
    columns: Vec<(&'static str, ParquetColumn)>,
}

/// The values of a column.
#[derive(Debug)]
pub(super) enum ParquetColumn {
    Integers(Vec<Option<i64>>),
    /// Microseconds since 1970 (UTC).
    Moments(Vec<Option<i64>>),
    Reals(Vec<Option<f64>>),
    Truths(Vec<Option<bool>>),
    Texts(Vec<Option<ByteArray>>),
}

impl ParquetTable {
    pub(super) fn new(name: &'static str, columns: Vec<(&'static str, ParquetColumn)>) -> Self {
        Self { name, columns }
    }

    /// Returns the file's content.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let schema = Type::group_type_builder(self.name)
            .with_fields(self.columns.iter().map(|(name, column)| column.field(name)).collect::<Result<_>>()?)
            .build()?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut bytes = Vec::new();
        let mut file = SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties))?;
        let rows = self.columns.first().map_or(0, |(_, column)| column.len());
        for first in (0..rows).step_by(ROWS_PER_GROUP) {
            let mut group = file.next_row_group()?;
            for (_, column) in &self.columns {
                if let Some(mut writer) = group.next_column()? {
                    column.write(first..rows.min(first + ROWS_PER_GROUP), &mut writer)?;
                    writer.close()?;
                }
            }
            group.close()?;
        }
        file.close()?;
        Ok(bytes)
    }
}

impl ParquetColumn {
    /// Numbers beyond 63 bits are no amounts that anything holds: not known.
    pub(super) fn integers<N: TryInto<i64>>(values: impl IntoIterator<Item = Option<N>>) -> Self {
        Self::Integers(values.into_iter().map(|value| value?.try_into().ok()).collect())
    }

    /// Moments in calendar time; `seconds` after each.
    pub(super) fn moments(values: impl IntoIterator<Item = (Timestamp, f64)>) -> Self {
        let micros = |(start, seconds): (Timestamp, f64)| {
            #[allow(clippy::cast_possible_truncation)] // casts from floats saturate
            let after = (seconds * 1e6).round() as i64;
            start.unix_seconds().checked_mul(1_000_000)?.checked_add(after)
        };
        Self::Moments(values.into_iter().map(micros).collect())
    }

    pub(super) fn reals(values: impl IntoIterator<Item = Option<f64>>) -> Self {
        Self::Reals(values.into_iter().collect())
    }

    pub(super) fn truths(values: impl IntoIterator<Item = Option<bool>>) -> Self {
        Self::Truths(values.into_iter().collect())
    }

    pub(super) fn texts<T: Into<ByteArray>>(values: impl IntoIterator<Item = Option<T>>) -> Self {
        Self::Texts(values.into_iter().map(|value| value.map(Into::into)).collect())
    }

    fn len(&self) -> usize {
        match self {
            Self::Integers(values) | Self::Moments(values) => values.len(),
            Self::Reals(values) => values.len(),
            Self::Truths(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    fn field(&self, name: &str) -> Result<TypePtr> {
        let (physical, logical) = match self {
            Self::Integers(_) => (Physical::INT64, None),
            Self::Moments(_) => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
            Self::Reals(_) => (Physical::DOUBLE, None),
            Self::Truths(_) => (Physical::BOOLEAN, None),
            Self::Texts(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        field.with_logical_type(logical).build().map(Arc::new)
    }

    fn write(&self, rows: Range<usize>, writer: &mut SerializedColumnWriter<'_>) -> Result<usize> {
        match self {
            Self::Integers(values) | Self::Moments(values) => put::<Int64Type>(&values[rows], writer),
            Self::Reals(values) => put::<DoubleType>(&values[rows], writer),
            Self::Truths(values) => put::<BoolType>(&values[rows], writer),
            Self::Texts(values) => put::<ByteArrayType>(&values[rows], writer),
        }
    }
}

/// Writes one column. The definition level of an OPTIONAL value is 1 if the value is there.
fn put<T: DataType>(values: &[Option<T::T>], writer: &mut SerializedColumnWriter<'_>) -> Result<usize> {
    let levels: Vec<i16> = values.iter().map(|value| value.is_some().into()).collect();
    let known: Vec<T::T> = values.iter().flatten().cloned().collect();
    writer.typed::<T>().write_batch(&known, Some(&levels), None)
}
