DROP INDEX "kern"."runs_waiting";--> statement-breakpoint
CREATE INDEX "runs_waiting" ON "kern"."runs" ("workflow_id","priority" DESC NULLS LAST,"run_id") WHERE "status" = 'QUEUED';