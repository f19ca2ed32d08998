CREATE SCHEMA "kern";
--> statement-breakpoint
CREATE TABLE "kern"."run_events" (
	"run_id" uuid,
	"seq" integer,
	"type" text NOT NULL,
	"at" timestamp(3) with time zone NOT NULL,
	"step_path" text,
	"name" text,
	"data" json,
	CONSTRAINT "run_events_pkey" PRIMARY KEY("run_id","seq")
);
--> statement-breakpoint
CREATE TABLE "kern"."run_payloads" (
	"run_id" uuid PRIMARY KEY,
	"input" json,
	"state_given" json,
	"output" json,
	"state_before" json,
	"state_after" json
);
--> statement-breakpoint
CREATE TABLE "kern"."runs" (
	"run_id" uuid PRIMARY KEY,
	"session_id" text NOT NULL,
	"number" integer NOT NULL,
	"workflow_id" text NOT NULL,
	"workflow_name" text NOT NULL,
	"workflow_version" text NOT NULL,
	"user_id" text,
	"status" text NOT NULL,
	"input_preview" text NOT NULL,
	"output_preview" text,
	"error" json,
	"stopped_by" text,
	"history_run_ids" uuid[] NOT NULL,
	"retry_of" uuid,
	"metadata" json,
	"tags" text[] NOT NULL,
	"idempotency_key" text,
	"request_hash" text,
	"step_count" integer,
	"attempt_count" integer,
	"cancel_requested_at" timestamp(3) with time zone,
	"cancel_reason" text,
	"owner" uuid,
	"epoch" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp(3) with time zone NOT NULL,
	"started_at" timestamp(3) with time zone,
	"completed_at" timestamp(3) with time zone,
	"duration_ms" double precision,
	CONSTRAINT "runs_final_has_end" CHECK (("status" in ('COMPLETED', 'FAILED', 'CANCELLED')) = ("completed_at" is not null))
);
--> statement-breakpoint
CREATE TABLE "kern"."sessions" (
	"session_id" text PRIMARY KEY,
	"workflow_id" text NOT NULL,
	"workflow_name" text NOT NULL,
	"user_id" text,
	"name" text,
	"name_source" text,
	"display_name" text NOT NULL,
	"state" json NOT NULL,
	"state_version" integer DEFAULT 0 NOT NULL,
	"workflow_data" json NOT NULL,
	"metadata" json,
	"tags" text[] NOT NULL,
	"run_count" integer DEFAULT 0 NOT NULL,
	"active_run_id" uuid,
	"last_run_id" uuid,
	"created_at" timestamp(3) with time zone NOT NULL,
	"updated_at" timestamp(3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kern"."step_results" (
	"run_id" uuid,
	"path" text,
	"position" integer NOT NULL,
	"parent_path" text,
	"name" text NOT NULL,
	"kind" text NOT NULL,
	"status" text NOT NULL,
	"input_from" text NOT NULL,
	"input" json,
	"output" json,
	"output_preview" text,
	"error" json,
	"state_patch" json,
	"history_used" boolean NOT NULL,
	"stops_run" boolean NOT NULL,
	"max_attempts" integer NOT NULL,
	"attempts" json NOT NULL,
	"started_at" timestamp(3) with time zone NOT NULL,
	"completed_at" timestamp(3) with time zone,
	CONSTRAINT "step_results_pkey" PRIMARY KEY("run_id","path")
);
--> statement-breakpoint
CREATE TABLE "kern"."workers" (
	"worker_id" uuid PRIMARY KEY,
	"host" text NOT NULL,
	"pid" integer NOT NULL,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"heartbeat_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX "runs_by_number" ON "kern"."runs" ("session_id","number");--> statement-breakpoint
CREATE UNIQUE INDEX "runs_by_idempotency_key" ON "kern"."runs" (coalesce("user_id", ''),"idempotency_key") WHERE "idempotency_key" is not null;--> statement-breakpoint
CREATE INDEX "runs_by_created" ON "kern"."runs" ("created_at","run_id");--> statement-breakpoint
CREATE INDEX "runs_by_session_created" ON "kern"."runs" ("session_id","created_at","run_id");--> statement-breakpoint
CREATE INDEX "runs_by_workflow" ON "kern"."runs" ("workflow_id","created_at","run_id");--> statement-breakpoint
CREATE INDEX "runs_by_workflow_end" ON "kern"."runs" ("workflow_id","completed_at");--> statement-breakpoint
CREATE INDEX "runs_by_status" ON "kern"."runs" ("status","created_at","run_id");--> statement-breakpoint
CREATE INDEX "runs_by_duration" ON "kern"."runs" (coalesce("duration_ms", 'Infinity'::float8),"run_id");--> statement-breakpoint
CREATE INDEX "runs_by_tag" ON "kern"."runs" USING gin ("tags");--> statement-breakpoint
CREATE INDEX "runs_by_retry_of" ON "kern"."runs" ("retry_of") WHERE "retry_of" is not null;--> statement-breakpoint
CREATE INDEX "sessions_by_updated" ON "kern"."sessions" ("updated_at","session_id");--> statement-breakpoint
CREATE INDEX "sessions_by_created" ON "kern"."sessions" ("created_at","session_id");--> statement-breakpoint
CREATE INDEX "sessions_by_name" ON "kern"."sessions" (lower("display_name") collate "C","session_id");--> statement-breakpoint
CREATE INDEX "sessions_by_workflow" ON "kern"."sessions" ("workflow_id","updated_at","session_id");--> statement-breakpoint
CREATE INDEX "sessions_by_user" ON "kern"."sessions" ("user_id","updated_at","session_id");--> statement-breakpoint
CREATE INDEX "sessions_by_tag" ON "kern"."sessions" USING gin ("tags");--> statement-breakpoint
CREATE INDEX "sessions_active" ON "kern"."sessions" ("active_run_id") WHERE "active_run_id" is not null;--> statement-breakpoint
ALTER TABLE "kern"."run_events" ADD CONSTRAINT "run_events_run_id_runs_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "kern"."runs"("run_id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "kern"."run_payloads" ADD CONSTRAINT "run_payloads_run_id_runs_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "kern"."runs"("run_id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "kern"."runs" ADD CONSTRAINT "runs_session_id_sessions_session_id_fkey" FOREIGN KEY ("session_id") REFERENCES "kern"."sessions"("session_id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "kern"."step_results" ADD CONSTRAINT "step_results_run_id_runs_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "kern"."runs"("run_id") ON DELETE CASCADE;