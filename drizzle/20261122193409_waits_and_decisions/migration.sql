ALTER TABLE "kern"."runs" ADD COLUMN "usage" json;--> statement-breakpoint
ALTER TABLE "kern"."runs" ADD COLUMN "answers" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "kern"."runs" ADD COLUMN "wake_at" timestamp(3) with time zone;--> statement-breakpoint
ALTER TABLE "kern"."step_results" ADD COLUMN "partial_output" json;--> statement-breakpoint
ALTER TABLE "kern"."step_results" ADD COLUMN "decision" json;--> statement-breakpoint
ALTER TABLE "kern"."step_results" ADD COLUMN "pending" json;--> statement-breakpoint
ALTER TABLE "kern"."step_results" ADD COLUMN "answer" json;--> statement-breakpoint
ALTER TABLE "kern"."step_results" ADD COLUMN "usage" json;--> statement-breakpoint
CREATE INDEX "runs_open" ON "kern"."runs" ("created_at","run_id") WHERE "status" in ('QUEUED', 'RUNNING') and "wake_at" is null;--> statement-breakpoint
CREATE INDEX "runs_by_wake" ON "kern"."runs" ("wake_at") WHERE "wake_at" is not null;