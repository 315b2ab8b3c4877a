//! Who may do what with the audit log: the roles that a migration sets up, and those of the current user.

use sqlx::PgConnection;

/// What the current user may do with the audit log beyond reading and adding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRights {
    /// The user.
    pub role: String,
    /// It owns the table, is a member of the owner, or a superuser: it can drop the trigger.
    pub owns: bool,
    /// It has a right to update, delete or truncate, which only the trigger stops.
    pub may_change: bool,
}

impl AuditRights {
    /// What a service should not have.
    pub fn are_too_many(&self) -> bool {
        self.owns || self.may_change
    }
}

/// The rights of whoever is connected.
pub async fn audit_rights(conn: &mut PgConnection) -> sqlx::Result<AuditRights> {
    sqlx::query_as!(
        AuditRights,
        r#"select current_user::text as "role!", pg_has_role(current_user, relowner, 'member') as "owns!",
            has_table_privilege(oid, 'update') or has_any_column_privilege(oid, 'update')
                or has_table_privilege(oid, 'delete') or has_table_privilege(oid, 'truncate') as "may_change!"
        from pg_class where oid = 'audit_log'::regclass"#
    )
    .fetch_one(conn)
    .await
}

/// Sets the roles up; safe to repeat. Returns what is left to do for somebody with more rights.
pub async fn set_up(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(r#"select set_up_roles() as "left_to_do!""#).fetch_all(conn).await
}
