//! Databases.

use super::{Detector, Search, TOKEN, check};

pub(super) const ALL: &[Detector] = &[DATABASE, CONNECTION];

/// *What it does*: finds the password in the address of a database or a queue. *Why it matters*:
/// whoever reaches the host reads and changes the data. *Known gaps*: passwords in other parts of
/// a connection string. *Example*: `postgres://app:` a password `@db.internal/main`.
const DATABASE: Detector = Detector {
    id: "database-url",
    what: "the password of a database",
    keywords: &[
        "postgres://",
        "postgresql://",
        "mysql://",
        "mariadb://",
        "mongodb://",
        "mongodb+srv://",
        "redis://",
        "rediss://",
        "amqp://",
        "amqps://",
        "mssql://",
        "sqlserver://",
        "clickhouse://",
    ],
    search: Search::Pattern(
        r#"(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|mssql|sqlserver|clickhouse)://[^\s/?#:@"'<>\xff]{0,64}:([^\s/?#@"'<>\xff]{3,128})@"#,
    ),
    check: Some(check::database),
    positive: &[
        "postgres://app:<an:16>@db.example.com/main",
        "mysql://root:<an:12>@10.0.0.3:3306/shop",
        "mongodb+srv://u:<an:20>@c0.mongodb.net",
        "redis://:<an:16>@cache:6379/0",
        "amqps://svc:<an:14>@mq",
        "mssql://sa:<an:14>@sql",
    ],
    negative: &[
        "postgres://localhost/main",
        "postgres://user:${PASSWORD}@db/main",
        "mysql://user:password@localhost",
    ],
    ..TOKEN
};

/// *What it does*: finds the password of a connection string for SQL Server and its like. *Why it
/// matters*: whoever reaches the host reads and changes the data. *Known gaps*: passwords with a
/// semicolon. *Example*: `Server=db;User Id=sa;Password=` a password `;`.
const CONNECTION: Detector = Detector {
    id: "connection-string",
    what: "the password of a database",
    keywords: &["user id=", "uid=", "username="],
    search: Search::Pattern(
        r#"(?i:user id|uid|username)=[^;\r\n"'\xff]{1,64};\s?(?i:password|pwd)=([^;\s"'\xff]{4,128})"#,
    ),
    check: Some(check::database),
    positive: &[
        "Server=db1;Database=a;User Id=sa;Password=<an:16>;",
        "uid=app;pwd=<an:16>;",
    ],
    negative: &["User Id=sa;Password={0};"],
    ..TOKEN
};
