//! Events in the SQLite file.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{EmbeddedBus, Inner, duration_ms, headers_of_text, headers_to_text, now_ms};
use crate::event::{check_name, check_subject, subject_matches};
use crate::{Acknowledge, BusError, Delivery, Event, Events, Published, Subscribe, Subscription};

/// A consumer holds at most so many deliveries that it has not acknowledged.
const MAX_UNACKNOWLEDGED: i64 = 1_000;
/// So many events are looked through at a time for one that matches.
const SCAN: i64 = 256;

#[async_trait]
impl Events for EmbeddedBus {
    async fn publish(&self, event: Event) -> Result<Published, BusError> {
        check_subject(&event.subject, false)?;
        self.inner.check_size(&event.subject, event.payload.len())?;
        let headers = headers_to_text(&event.headers)?;
        let failed = |error| BusError::failed("publishing to", &event.subject, error);
        let mut transaction =
            self.inner.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let stored: Option<i64> = sqlx::query_scalar(
            "INSERT INTO event (subject, message_id, payload, headers, published_ms) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (message_id) DO NOTHING RETURNING sequence",
        )
        .bind(&event.subject)
        .bind(&event.message_id)
        .bind(event.payload.as_ref())
        .bind(headers)
        .bind(now_ms())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
        let Some(sequence) = stored else { return Ok(Published::Duplicate) };
        let kept = i64::try_from(self.inner.config.max_events).unwrap_or(i64::MAX);
        sqlx::query("DELETE FROM event WHERE sequence <= ?")
            .bind(sequence.saturating_sub(kept))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        self.inner.wake();
        Ok(Published::Stored { sequence: sequence.unsigned_abs() })
    }

    async fn subscribe(&self, request: Subscribe) -> Result<Box<dyn Subscription>, BusError> {
        check_subject(&request.filter, true)?;
        let failed = |error| BusError::failed("subscribing to", &request.filter, error);
        let inner = Arc::clone(&self.inner);
        let newest = "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0)";
        match request.durable {
            None => {
                let last: i64 =
                    sqlx::query_scalar(newest).fetch_one(&inner.pool).await.map_err(failed)?;
                Ok(Box::new(Ephemeral { inner, filter: request.filter, next_sequence: last + 1 }))
            }
            Some(name) => {
                check_name("consumer", &name)?;
                sqlx::query(
                    "INSERT INTO consumer (name, filter, next_sequence)
                     VALUES (?1, ?2, CASE WHEN ?3 THEN 1 ELSE
                         1 + COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0) END)
                     ON CONFLICT (name) DO UPDATE SET filter = excluded.filter",
                )
                .bind(&name)
                .bind(&request.filter)
                .bind(request.from_start)
                .execute(&inner.pool)
                .await
                .map_err(failed)?;
                Ok(Box::new(Durable { inner, name, filter: request.filter }))
            }
        }
    }
}

struct Ephemeral {
    inner: Arc<Inner>,
    filter: String,
    next_sequence: i64,
}

#[async_trait]
impl Subscription for Ephemeral {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            let inner = Arc::clone(&self.inner);
            let (filter, from) = (self.filter.clone(), self.next_sequence);
            let found = inner
                .wait_for(None, || async {
                    let mut connection = inner
                        .pool
                        .acquire()
                        .await
                        .map_err(|error| BusError::failed("reading", &filter, error))?;
                    scan(&mut connection, &filter, from).await.map(Scan::progress)
                })
                .await?;
            match found {
                Some(Scan::Event { sequence, row }) => {
                    self.next_sequence = sequence + 1;
                    return delivery(&row, sequence, 1, Box::new(Forgotten));
                }
                Some(Scan::NoneUntil { next_sequence }) => self.next_sequence = next_sequence,
                // Without a time limit the wait ends with something found only.
                Some(Scan::End) | None => {}
            }
        }
    }
}

struct Durable {
    inner: Arc<Inner>,
    name: String,
    filter: String,
}

#[async_trait]
impl Subscription for Durable {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            let found = self.inner.wait_for(None, || self.take()).await?;
            // Without a time limit the wait ends with something found only; `None` inside means "look again".
            if let Some(Some(delivery)) = found {
                return Ok(delivery);
            }
        }
    }
}

impl Durable {
    /// Takes one event. `None`: nothing there; `Some(None)`: moved on over events that do not match.
    async fn take(&self) -> Result<Option<Option<Delivery>>, BusError> {
        let failed = |error| BusError::failed("taking an event for", &self.name, error);
        // A look without a write lock first, as this is what happens at every poll.
        let something: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM delivery WHERE consumer = ?1 AND until_ms <= ?2)
                 OR EXISTS (SELECT 1 FROM event, consumer WHERE name = ?1 AND sequence >= next_sequence)",
        )
        .bind(&self.name)
        .bind(now_ms())
        .fetch_one(&self.inner.pool)
        .await
        .map_err(failed)?;
        if !something {
            return Ok(None);
        }
        let mut transaction =
            self.inner.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let until = now_ms() + duration_ms(self.inner.config.ack_wait());
        let due: Option<(i64, i64)> = sqlx::query_as(
            "UPDATE delivery SET attempt = attempt + 1, until_ms = ?3
             WHERE consumer = ?1 AND sequence =
                 (SELECT MIN(sequence) FROM delivery WHERE consumer = ?1 AND until_ms <= ?2)
             RETURNING sequence, attempt",
        )
        .bind(&self.name)
        .bind(now_ms())
        .bind(until)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
        let (sequence, attempt, row) = if let Some((sequence, attempt)) = due {
            let row = sqlx::query(
                "SELECT subject, message_id, payload, headers FROM event WHERE sequence = ?",
            )
            .bind(sequence)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
            let Some(row) = row else {
                // Older than what is kept; the reconciler behind the consumer reads full state anyway.
                self.forget(&mut transaction, sequence).await?;
                transaction.commit().await.map_err(failed)?;
                return Ok(Some(None));
            };
            (sequence, attempt, row)
        } else {
            let (from, held): (i64, i64) = sqlx::query_as(
                "SELECT next_sequence, (SELECT COUNT(*) FROM delivery WHERE consumer = ?1) FROM consumer WHERE name = ?1",
            )
            .bind(&self.name)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
            if held >= MAX_UNACKNOWLEDGED {
                return Ok(None);
            }
            let (found, next_sequence) = match scan(&mut transaction, &self.filter, from).await? {
                Scan::End => return Ok(None),
                Scan::NoneUntil { next_sequence } => (None, next_sequence),
                Scan::Event { sequence, row } => (Some((sequence, row)), sequence + 1),
            };
            sqlx::query("UPDATE consumer SET next_sequence = ? WHERE name = ?")
                .bind(next_sequence)
                .bind(&self.name)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            let Some((sequence, row)) = found else {
                transaction.commit().await.map_err(failed)?;
                return Ok(Some(None));
            };
            sqlx::query(
                "INSERT INTO delivery (consumer, sequence, attempt, until_ms) VALUES (?, ?, 1, ?)",
            )
            .bind(&self.name)
            .bind(sequence)
            .bind(until)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
            (sequence, 1, row)
        };
        transaction.commit().await.map_err(failed)?;
        let acknowledge =
            Acknowledged { inner: Arc::clone(&self.inner), consumer: self.name.clone(), sequence };
        delivery(&row, sequence, u32::try_from(attempt).unwrap_or(u32::MAX), Box::new(acknowledge))
            .map(|delivery| Some(Some(delivery)))
    }

    async fn forget(
        &self,
        connection: &mut SqliteConnection,
        sequence: i64,
    ) -> Result<(), BusError> {
        sqlx::query("DELETE FROM delivery WHERE consumer = ? AND sequence = ?")
            .bind(&self.name)
            .bind(sequence)
            .execute(connection)
            .await
            .map_err(|error| BusError::failed("forgetting a delivery of", &self.name, error))?;
        Ok(())
    }
}

enum Scan {
    /// The first event that matches.
    Event { sequence: i64, row: SqliteRow },
    /// Events, but none that matches.
    NoneUntil { next_sequence: i64 },
    /// No events.
    End,
}

impl Scan {
    fn progress(self) -> Option<Self> {
        (!matches!(self, Self::End)).then_some(self)
    }
}

async fn scan(
    connection: &mut SqliteConnection,
    filter: &str,
    from: i64,
) -> Result<Scan, BusError> {
    let failed = |error| BusError::failed("reading events of", filter, error);
    let subjects: Vec<(i64, String)> = sqlx::query_as(
        "SELECT sequence, subject FROM event WHERE sequence >= ? ORDER BY sequence LIMIT ?",
    )
    .bind(from)
    .bind(SCAN)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    let Some((last, _)) = subjects.last() else { return Ok(Scan::End) };
    let Some((sequence, _)) = subjects.iter().find(|(_, subject)| subject_matches(filter, subject))
    else {
        return Ok(Scan::NoneUntil { next_sequence: last + 1 });
    };
    let row =
        sqlx::query("SELECT subject, message_id, payload, headers FROM event WHERE sequence = ?")
            .bind(sequence)
            .fetch_optional(connection)
            .await
            .map_err(failed)?;
    Ok(match row {
        Some(row) => Scan::Event { sequence: *sequence, row },
        // Pruned in between.
        None => Scan::NoneUntil { next_sequence: sequence + 1 },
    })
}

fn delivery(
    row: &SqliteRow,
    sequence: i64,
    attempt: u32,
    acknowledge: Box<dyn Acknowledge>,
) -> Result<Delivery, BusError> {
    let object = format!("event {sequence}");
    let corrupt =
        |error: sqlx::Error| BusError::Corrupt { object: object.clone(), source: error.into() };
    let payload: Vec<u8> = row.try_get("payload").map_err(corrupt)?;
    let headers: String = row.try_get("headers").map_err(corrupt)?;
    let event = Event {
        subject: row.try_get("subject").map_err(corrupt)?,
        message_id: row.try_get("message_id").map_err(corrupt)?,
        payload: Bytes::from(payload),
        headers: headers_of_text(&headers, &object)?,
    };
    Ok(Delivery { event, sequence: sequence.unsigned_abs(), attempt, acknowledge })
}

struct Acknowledged {
    inner: Arc<Inner>,
    consumer: String,
    sequence: i64,
}

#[async_trait]
impl Acknowledge for Acknowledged {
    async fn ack(&self) -> Result<(), BusError> {
        sqlx::query("DELETE FROM delivery WHERE consumer = ? AND sequence = ?")
            .bind(&self.consumer)
            .bind(self.sequence)
            .execute(&self.inner.pool)
            .await
            .map_err(|error| BusError::failed("acknowledging for", &self.consumer, error))?;
        Ok(())
    }
}

/// An ephemeral consumer remembers nothing, so there is nothing to acknowledge.
struct Forgotten;

#[async_trait]
impl Acknowledge for Forgotten {
    async fn ack(&self) -> Result<(), BusError> {
        Ok(())
    }
}
