//! Jobs in the SQLite file. The life of a job is drawn beside its table in `migrations/`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{
    EmbeddedBus, Inner, duration_ms, headers_of_text, headers_to_text, now_ms, time_of_ms,
};
use crate::event::check_name;
use crate::job::bounded_cause;
use crate::{
    BusError, Enqueued, FailOutcome, Job, JobFilter, JobRecord, JobState, Jobs, Lease, LeaseOps,
    NewJob, QueueDepth,
};

const WAITING: i64 = 0;
const LEASED: i64 = 1;
const PARKED: i64 = 2;

#[async_trait]
impl Jobs for EmbeddedBus {
    async fn enqueue(&self, job: NewJob) -> Result<Enqueued, BusError> {
        check_name("queue", &job.queue)?;
        check_name("job", &job.job_id)?;
        self.inner.check_size(&job.queue, job.payload.len())?;
        let headers = headers_to_text(&job.headers)?;
        let failed = |error| BusError::failed("queueing job", &job.job_id, error);
        let mut transaction =
            self.inner.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let present: Option<i64> =
            sqlx::query_scalar("SELECT state FROM job WHERE queue = ? AND job_id = ?")
                .bind(&job.queue)
                .bind(&job.job_id)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(failed)?;
        match present {
            Some(PARKED) => return Ok(Enqueued::Parked),
            Some(_) => return Ok(Enqueued::AlreadyLive),
            None => {}
        }
        let held: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM job WHERE queue = ?")
            .bind(&job.queue)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        if held.unsigned_abs() >= self.inner.config.max_queue_jobs {
            return Err(BusError::QueueFull {
                queue: job.queue,
                limit: self.inner.config.max_queue_jobs,
            });
        }
        sqlx::query(
            "INSERT INTO job (queue, job_id, payload, headers, state, attempts, due_ms, enqueued_ms)
             VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?5)",
        )
        .bind(&job.queue)
        .bind(&job.job_id)
        .bind(job.payload.as_ref())
        .bind(headers)
        .bind(now_ms())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        self.inner.wake();
        Ok(Enqueued::Added)
    }

    async fn pull(&self, queue: &str, wait: Duration) -> Result<Option<Lease>, BusError> {
        check_name("queue", queue)?;
        self.inner.wait_for(Some(wait), || self.take(queue)).await
    }

    async fn job(&self, queue: &str, job_id: &str) -> Result<Option<JobRecord>, BusError> {
        check_name("queue", queue)?;
        check_name("job", job_id)?;
        let row = sqlx::query("SELECT * FROM job WHERE queue = ? AND job_id = ?")
            .bind(queue)
            .bind(job_id)
            .fetch_optional(&self.inner.pool)
            .await
            .map_err(|error| BusError::failed("reading job", job_id, error))?;
        row.map(|row| record(&row)).transpose()
    }

    async fn list(&self, queue: &str, filter: JobFilter) -> Result<Vec<JobRecord>, BusError> {
        check_name("queue", queue)?;
        let rows = sqlx::query(
            "SELECT * FROM job WHERE queue = ?1 AND job_id > ?2 AND (state = 2 OR NOT ?3) ORDER BY job_id LIMIT ?4",
        )
        .bind(queue)
        .bind(filter.after.unwrap_or_default())
        .bind(filter.parked_only)
        .bind(i64::try_from(filter.limit.min(1_000)).unwrap_or(1_000))
        .fetch_all(&self.inner.pool)
        .await
        .map_err(|error| BusError::failed("listing jobs of", queue, error))?;
        rows.iter().map(record).collect()
    }

    async fn requeue(&self, queue: &str, job_id: &str) -> Result<(), BusError> {
        check_name("queue", queue)?;
        check_name("job", job_id)?;
        let changed = sqlx::query(
            "UPDATE job SET state = 0, attempts = 0, cause = NULL, due_ms = ?3, enqueued_ms = ?3
             WHERE queue = ?1 AND job_id = ?2 AND state = 2",
        )
        .bind(queue)
        .bind(job_id)
        .bind(now_ms())
        .execute(&self.inner.pool)
        .await
        .map_err(|error| BusError::failed("putting back job", job_id, error))?;
        if changed.rows_affected() == 0 {
            return Err(BusError::NoSuchJob { queue: queue.to_owned(), job_id: job_id.to_owned() });
        }
        self.inner.wake();
        Ok(())
    }

    async fn remove(&self, queue: &str, job_id: &str) -> Result<bool, BusError> {
        check_name("queue", queue)?;
        check_name("job", job_id)?;
        let changed = sqlx::query("DELETE FROM job WHERE queue = ? AND job_id = ?")
            .bind(queue)
            .bind(job_id)
            .execute(&self.inner.pool)
            .await
            .map_err(|error| BusError::failed("removing job", job_id, error))?;
        Ok(changed.rows_affected() > 0)
    }

    async fn depth(&self, queue: &str) -> Result<QueueDepth, BusError> {
        check_name("queue", queue)?;
        let counts: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT CASE WHEN state = 1 AND due_ms <= ?2 THEN 0 ELSE state END AS now_state, COUNT(*)
             FROM job WHERE queue = ?1 GROUP BY now_state",
        )
        .bind(queue)
        .bind(now_ms())
        .fetch_all(&self.inner.pool)
        .await
        .map_err(|error| BusError::failed("counting jobs of", queue, error))?;
        let count = |state| {
            counts
                .iter()
                .filter(|(of, _)| *of == state)
                .map(|(_, count)| count.unsigned_abs())
                .sum()
        };
        Ok(QueueDepth { waiting: count(WAITING), leased: count(LEASED), parked: count(PARKED) })
    }
}

impl EmbeddedBus {
    async fn take(&self, queue: &str) -> Result<Option<Lease>, BusError> {
        let failed = |error| BusError::failed("pulling from", queue, error);
        let max_attempts = self.inner.config.max_deliveries;
        // A look without a write lock first, as this is what happens at every poll.
        let something: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM job WHERE queue = ? AND state IN (0, 1) AND due_ms <= ?)",
        )
        .bind(queue)
        .bind(now_ms())
        .fetch_one(&self.inner.pool)
        .await
        .map_err(failed)?;
        if !something {
            return Ok(None);
        }
        sqlx::query(
            "UPDATE job SET state = 2, lease_token = NULL, due_ms = ?2,
                 cause = 'the worker went away without an answer in delivery ' || attempts ||
                     COALESCE('; before: ' || cause, '')
             WHERE queue = ?1 AND state IN (0, 1) AND due_ms <= ?2 AND attempts >= ?3",
        )
        .bind(queue)
        .bind(now_ms())
        .bind(max_attempts)
        .execute(&self.inner.pool)
        .await
        .map_err(failed)?;
        let lease_token: i64 = rand::random();
        let duration = self.inner.config.lease();
        let row = sqlx::query(
            "UPDATE job SET state = 1, attempts = attempts + 1, lease_token = ?3, due_ms = ?4
             WHERE position = (SELECT position FROM job
                 WHERE queue = ?1 AND state IN (0, 1) AND due_ms <= ?2 AND attempts < ?5
                 ORDER BY position LIMIT 1)
             RETURNING *",
        )
        .bind(queue)
        .bind(now_ms())
        .bind(lease_token)
        .bind(now_ms() + duration_ms(duration))
        .bind(max_attempts)
        .fetch_optional(&self.inner.pool)
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let record = record(&row)?;
        let headers: String = row.try_get("headers").map_err(|error| BusError::Corrupt {
            object: format!("job {}", record.job_id),
            source: error.into(),
        })?;
        let headers = headers_of_text(&headers, &record.job_id)?;
        let job = Arc::new(Job {
            queue: record.queue,
            job_id: record.job_id,
            payload: record.payload,
            headers,
            attempt: record.attempts,
            max_attempts,
        });
        let ops = Held { inner: Arc::clone(&self.inner), job: Arc::clone(&job), lease_token };
        Ok(Some(Lease { job, duration, ops: Arc::new(ops) }))
    }
}

struct Held {
    inner: Arc<Inner>,
    job: Arc<Job>,
    lease_token: i64,
}

impl Held {
    /// `changed` rows say whether the lease was still ours.
    fn held(&self, changed: u64) -> Result<(), BusError> {
        if changed == 0 {
            let Job { queue, job_id, .. } = &*self.job;
            return Err(BusError::LeaseLost { queue: queue.clone(), job_id: job_id.clone() });
        }
        self.inner.wake();
        Ok(())
    }

    fn failed(&self, operation: &'static str) -> impl FnOnce(sqlx::Error) -> BusError {
        let job_id = self.job.job_id.clone();
        move |error| BusError::failed(operation, job_id, error)
    }
}

#[async_trait]
impl LeaseOps for Held {
    async fn heartbeat(&self) -> Result<(), BusError> {
        // A lease that is over but was not taken by another can be taken up again.
        let changed =
            sqlx::query("UPDATE job SET due_ms = ? WHERE queue = ? AND job_id = ? AND state = 1 AND lease_token = ?")
                .bind(now_ms() + duration_ms(self.inner.config.lease()))
                .bind(&self.job.queue)
                .bind(&self.job.job_id)
                .bind(self.lease_token)
                .execute(&self.inner.pool)
                .await
                .map_err(self.failed("renewing the lease of job"))?;
        self.held(changed.rows_affected())
    }

    async fn ack(&self) -> Result<(), BusError> {
        let changed = sqlx::query(
            "DELETE FROM job WHERE queue = ? AND job_id = ? AND state = 1 AND lease_token = ?",
        )
        .bind(&self.job.queue)
        .bind(&self.job.job_id)
        .bind(self.lease_token)
        .execute(&self.inner.pool)
        .await
        .map_err(self.failed("acknowledging job"))?;
        self.held(changed.rows_affected())
    }

    async fn release(&self, delay: Duration) -> Result<(), BusError> {
        let changed = sqlx::query(
            "UPDATE job SET state = 0, attempts = attempts - 1, lease_token = NULL, due_ms = ?
             WHERE queue = ? AND job_id = ? AND state = 1 AND lease_token = ?",
        )
        .bind(now_ms() + duration_ms(delay))
        .bind(&self.job.queue)
        .bind(&self.job.job_id)
        .bind(self.lease_token)
        .execute(&self.inner.pool)
        .await
        .map_err(self.failed("handing back job"))?;
        self.held(changed.rows_affected())
    }

    async fn nak(&self, delay: Duration, cause: &str) -> Result<FailOutcome, BusError> {
        if self.job.attempt >= self.job.max_attempts {
            self.fail(cause).await?;
            return Ok(FailOutcome::Parked);
        }
        let changed = sqlx::query(
            "UPDATE job SET state = 0, lease_token = NULL, due_ms = ?, cause = ?
             WHERE queue = ? AND job_id = ? AND state = 1 AND lease_token = ?",
        )
        .bind(now_ms() + duration_ms(delay))
        .bind(bounded_cause(cause))
        .bind(&self.job.queue)
        .bind(&self.job.job_id)
        .bind(self.lease_token)
        .execute(&self.inner.pool)
        .await
        .map_err(self.failed("failing job"))?;
        self.held(changed.rows_affected())?;
        Ok(FailOutcome::Retried { delay })
    }

    async fn fail(&self, cause: &str) -> Result<(), BusError> {
        let changed = sqlx::query(
            "UPDATE job SET state = 2, lease_token = NULL, due_ms = ?, cause = ?
             WHERE queue = ? AND job_id = ? AND state = 1 AND lease_token = ?",
        )
        .bind(now_ms())
        .bind(bounded_cause(cause))
        .bind(&self.job.queue)
        .bind(&self.job.job_id)
        .bind(self.lease_token)
        .execute(&self.inner.pool)
        .await
        .map_err(self.failed("parking job"))?;
        self.held(changed.rows_affected())
    }
}

fn record(row: &SqliteRow) -> Result<JobRecord, BusError> {
    let job_id: String = row.try_get("job_id").unwrap_or_default();
    let corrupt = |error: sqlx::Error| BusError::Corrupt {
        object: format!("job {job_id}"),
        source: error.into(),
    };
    let state: i64 = row.try_get("state").map_err(corrupt)?;
    let due_ms: i64 = row.try_get("due_ms").map_err(corrupt)?;
    let attempts: i64 = row.try_get("attempts").map_err(corrupt)?;
    let payload: Vec<u8> = row.try_get("payload").map_err(corrupt)?;
    let due = time_of_ms(due_ms);
    let state = match state {
        PARKED => JobState::Parked,
        LEASED if due_ms > now_ms() => JobState::Leased { until: due },
        _ => JobState::Waiting { not_before: (due_ms > now_ms()).then_some(due) },
    };
    Ok(JobRecord {
        queue: row.try_get("queue").map_err(corrupt)?,
        state,
        attempts: u32::try_from(attempts).unwrap_or_default(),
        cause: row.try_get("cause").map_err(corrupt)?,
        payload: Bytes::from(payload),
        enqueued_at: time_of_ms(row.try_get("enqueued_ms").map_err(corrupt)?),
        job_id,
    })
}
