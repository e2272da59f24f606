//! Data behind a server.

use crate::Confidence::High;
use crate::Severity;
use crate::destructive::Detector;
use crate::destructive::sql::{self, Loss};

/// *What it does*: finds SQL that destroys, given to a client by option, word or pipe. *Why it
/// matters*: a database has no trash. *Known gaps*: SQL in files and in programs. *Example*:
/// `psql -c 'DROP TABLE users'`.
pub(super) const SQL_LOSS: Detector = Detector {
    id: "sql-loss",
    positive: &[
        "psql -c 'DROP TABLE users'",
        "psql -tAc 'delete from t where 1=1' db",
        "mysql -e \"TRUNCATE t\"",
        "mysql --execute='drop database x'",
        "sqlite3 a.db 'DELETE FROM t'",
        "echo 'DROP TABLE t' | psql",
        "echo 'DROP TABLE t' | cat | psql -q",
        "psql prod <<EOF\nDROP TABLE t;\nEOF",
        "sudo -u postgres psql <<'EOF'\ntruncate t;\nEOF",
        "mysql db <<< 'truncate t'",
        "mysql db <<-X\n\tdelete from t;\n\tX",
        "sqlite3 a.db <<X\nDELETE FROM t;\nX",
        "printf 'DELETE FROM t WHERE true' | sqlite3 a.db",
        "mongosh <<E\ndb.a.drop()\nE",
        "echo 'db.dropDatabase()' | mongosh prod",
        "docker exec -i db psql -c 'drop table t'",
        "mongosh --eval 'db.dropDatabase()'",
        "redis-cli FLUSHALL",
        "dropdb prod",
    ],
    negative: &[
        "psql -c 'DELETE FROM t WHERE id=1'",
        "sqlite3 a.db \"SELECT 'DROP TABLE t'\"",
        "echo 'DROP TABLE t'",
        "grep 'DROP TABLE' schema.sql",
        "redis-cli GET x",
        "psql <<EOF\nDELETE FROM t WHERE id = 4;\nEOF",
        "cat <<EOF > notes.md\nDROP TABLE t;\nEOF",
        "cat <<EOF\nDROP TABLE t;\nEOF\npsql -c 'select 1'",
        "mongosh <<E\ndb.a.find({})\nE",
        "echo 'DROP TABLE t' > a.sql; psql -l",
    ],
    judge: |facts| {
        facts.worst(|call| {
            let mut scripts: Vec<&str> = call.input.into_iter().collect();
            match call.program {
                "psql" | "pgcli" | "vsql" => scripts.extend(call.values("c", &["command"])),
                "mysql" | "mariadb" | "mycli" | "cockroach" | "trino" | "clickhouse"
                | "clickhouse-client" => {
                    scripts.extend(call.values("e", &["execute", "query"]));
                    scripts.extend(call.values("q", &[]));
                }
                "sqlite3" | "sqlite" | "duckdb" | "litecli" => {
                    scripts.extend(call.operands().skip(1));
                    scripts.extend(call.values("c", &["cmd"]));
                }
                "sqlcmd" => {
                    scripts.extend(call.values("Q", &[]));
                    scripts.extend(call.values("q", &[]));
                }
                "cqlsh" | "snowsql" | "bq" | "usql" | "sqlplus" | "isql" => {
                    scripts.extend(call.args.iter().map(String::as_str));
                }
                "mongosh" | "mongo" => {
                    let drops = call
                        .values("", &["eval"])
                        .into_iter()
                        .chain(call.input)
                        .any(|code| {
                            ["dropDatabase(", ".drop(", "deleteMany({})", "remove({})"]
                                .iter()
                                .any(|word| code.replace(' ', "").contains(word))
                        });
                    return drops.then_some((Severity::High, High));
                }
                "redis-cli" | "valkey-cli" => {
                    let flushes = call
                        .args
                        .iter()
                        .map(String::as_str)
                        .chain(call.input.into_iter().flat_map(str::split_whitespace))
                        .any(|word| {
                            word.eq_ignore_ascii_case("flushall")
                                || word.eq_ignore_ascii_case("flushdb")
                        });
                    return flushes.then_some((Severity::High, High));
                }
                "dropdb" => return Some((Severity::Critical, High)),
                "dropuser" => return Some((Severity::High, High)),
                "mysqladmin" if call.says("drop") => return Some((Severity::Critical, High)),
                _ => return None,
            }
            let loss = scripts.into_iter().filter_map(sql::loss).max()?;
            Some(match loss {
                Loss::Objects => (Severity::Critical, High),
                Loss::Rows => (Severity::High, High),
                Loss::Values => (Severity::Medium, High),
            })
        })
    },
};
