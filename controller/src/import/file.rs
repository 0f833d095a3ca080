//! The old program's SQLite file. Its columns were never written down, so that each value is looked
//! for under the names that it may have.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, OpenFlags, types::ValueRef};

/// The values of a row by the names of their columns, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row(BTreeMap<String, String>);

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {path} as a SQLite file")]
    Sqlite { path: String, source: rusqlite::Error },
    #[error("{path} has no table `{table}`: it has {has}")]
    NoTable { path: String, table: &'static str, has: String },
}

pub(super) struct File {
    path: String,
    sqlite: Connection,
}

impl File {
    /// Read only: the old program may still use it.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let name = path.display().to_string();
        let opened = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let sqlite = opened.map_err(|source| FileError::Sqlite { path: name.clone(), source })?;
        let file = Self { path: name, sqlite };
        let tables = file.tables().map_err(|source| file.error(source))?;
        if tables.iter().any(|table| table == "clients") {
            return Ok(file);
        }
        let has = if tables.is_empty() { "none".to_owned() } else { tables.join(", ") };
        Err(FileError::NoTable { path: file.path, table: "clients", has })
    }

    /// All rows; none if there is no such table.
    pub(super) fn rows(&self, table: &'static str) -> Result<Vec<Row>, FileError> {
        let tables = self.tables().map_err(|source| self.error(source))?;
        if !tables.iter().any(|there| there == table) {
            return Ok(Vec::new());
        }
        self.read(table).map_err(|source| self.error(source))
    }

    fn tables(&self) -> Result<Vec<String>, rusqlite::Error> {
        let mut query = self
            .sqlite
            .prepare("SELECT lower(name) FROM sqlite_master WHERE type = 'table' ORDER BY 1")?;
        query.query_map([], |row| row.get(0))?.collect()
    }

    fn read(&self, table: &'static str) -> Result<Vec<Row>, rusqlite::Error> {
        let mut query = self.sqlite.prepare(&format!("SELECT * FROM {table} ORDER BY rowid"))?;
        let names: Vec<_> = query.column_names().iter().map(|name| name.to_lowercase()).collect();
        let mut rows = query.query([])?;
        let mut read = Vec::new();
        while let Some(row) = rows.next()? {
            let mut values = BTreeMap::new();
            for (n, name) in names.iter().enumerate() {
                if let Some(text) = text(row.get_ref(n)?) {
                    values.insert(name.clone(), text);
                }
            }
            read.push(Row(values));
        }
        Ok(read)
    }

    fn error(&self, source: rusqlite::Error) -> FileError {
        FileError::Sqlite { path: self.path.clone(), source }
    }
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        // Amounts have two places, and are never computed with as they are.
        ValueRef::Real(number) => Some(format!("{number:.2}")),
        ValueRef::Text(bytes) => {
            let text = String::from_utf8_lossy(bytes).trim().to_owned();
            Some(text).filter(|text| !text.is_empty())
        }
    }
}

impl Row {
    /// The first of these columns that has a value.
    pub(super) fn get(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.0.get(*name).map(String::as_str))
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.get(&["id"])
    }

    #[cfg(test)]
    pub(super) fn of(values: &[(&str, &str)]) -> Self {
        Self(values.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }
}
