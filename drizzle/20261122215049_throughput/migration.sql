CREATE TABLE "kern"."workflows" (
	"workflow_id" text,
	"version" text,
	"name" text NOT NULL,
	"data" json NOT NULL,
	"initial_state" json NOT NULL,
	"priority" integer DEFAULT 0 NOT NULL,
	"registered_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "workflows_pkey" PRIMARY KEY("workflow_id","version")
);
--> statement-breakpoint
ALTER TABLE "kern"."run_events" DROP CONSTRAINT "run_events_run_id_runs_run_id_fkey";--> statement-breakpoint
ALTER TABLE "kern"."run_payloads" DROP CONSTRAINT "run_payloads_run_id_runs_run_id_fkey";--> statement-breakpoint
ALTER TABLE "kern"."runs" DROP CONSTRAINT "runs_session_id_sessions_session_id_fkey";--> statement-breakpoint
ALTER TABLE "kern"."step_results" DROP CONSTRAINT "step_results_run_id_runs_run_id_fkey";--> statement-breakpoint
DROP INDEX "kern"."runs_by_created";--> statement-breakpoint
DROP INDEX "kern"."runs_by_session_created";--> statement-breakpoint
DROP INDEX "kern"."runs_by_status";--> statement-breakpoint
DROP INDEX "kern"."runs_open";--> statement-breakpoint
DROP INDEX "kern"."sessions_active";--> statement-breakpoint
ALTER TABLE "kern"."run_events" ADD COLUMN "events" json;--> statement-breakpoint
UPDATE "kern"."run_events" SET "events" = CASE WHEN "data" IS NULL
	THEN json_build_array(json_build_array("type", round(extract(epoch FROM "at") * 1000)::bigint, "step_path", "name"))
	ELSE json_build_array(json_build_array("type", round(extract(epoch FROM "at") * 1000)::bigint, "step_path", "name", "data")) END;--> statement-breakpoint
ALTER TABLE "kern"."run_events" ALTER COLUMN "events" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "kern"."runs" ADD COLUMN "priority" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "kern"."runs" ADD COLUMN "deaths" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "kern"."sessions" ADD COLUMN "workflow_version" text;--> statement-breakpoint
UPDATE "kern"."sessions" SET "workflow_version" = coalesce("workflow_data" ->> 'version', '');--> statement-breakpoint
INSERT INTO "kern"."workflows" ("workflow_id", "version", "name", "data", "initial_state")
	SELECT DISTINCT ON ("workflow_id", "workflow_version") "workflow_id", "workflow_version", "workflow_name", "workflow_data", '{}'
	FROM "kern"."sessions" ORDER BY "workflow_id", "workflow_version", "updated_at" DESC;--> statement-breakpoint
ALTER TABLE "kern"."sessions" ALTER COLUMN "workflow_version" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "kern"."sessions" ADD COLUMN "turn_due" boolean DEFAULT false NOT NULL;--> statement-breakpoint
UPDATE "kern"."sessions" s SET "turn_due" = true FROM "kern"."runs" r
	WHERE r."run_id" = s."active_run_id" AND r."completed_at" IS NOT NULL;--> statement-breakpoint
ALTER TABLE "kern"."workers" ADD COLUMN "serves" text[] DEFAULT '{}'::text[] NOT NULL;--> statement-breakpoint
ALTER TABLE "kern"."run_events" DROP COLUMN "type";--> statement-breakpoint
ALTER TABLE "kern"."run_events" DROP COLUMN "at";--> statement-breakpoint
ALTER TABLE "kern"."run_events" DROP COLUMN "step_path";--> statement-breakpoint
ALTER TABLE "kern"."run_events" DROP COLUMN "name";--> statement-breakpoint
ALTER TABLE "kern"."run_events" DROP COLUMN "data";--> statement-breakpoint
ALTER TABLE "kern"."sessions" DROP COLUMN "workflow_data";--> statement-breakpoint
ALTER TABLE "kern"."step_results" ALTER COLUMN "attempts" DROP NOT NULL;--> statement-breakpoint
DROP INDEX "kern"."runs_by_workflow";--> statement-breakpoint
CREATE INDEX "runs_by_workflow" ON "kern"."runs" ("workflow_id","run_id");--> statement-breakpoint
DROP INDEX "kern"."runs_by_workflow_end";--> statement-breakpoint
CREATE INDEX "runs_by_workflow_end" ON "kern"."runs" ("workflow_id","completed_at") WHERE "completed_at" is not null;--> statement-breakpoint
DROP INDEX "kern"."runs_by_tag";--> statement-breakpoint
CREATE INDEX "runs_by_tag" ON "kern"."runs" USING gin ("tags") WHERE "tags" <> '{}';--> statement-breakpoint
DROP INDEX "kern"."sessions_by_user";--> statement-breakpoint
CREATE INDEX "sessions_by_user" ON "kern"."sessions" ("user_id","updated_at","session_id") WHERE "user_id" is not null;--> statement-breakpoint
DROP INDEX "kern"."sessions_by_tag";--> statement-breakpoint
CREATE INDEX "sessions_by_tag" ON "kern"."sessions" USING gin ("tags") WHERE "tags" <> '{}';--> statement-breakpoint
CREATE INDEX "runs_unfinished" ON "kern"."runs" ("status","run_id") WHERE "status" in ('QUEUED', 'RUNNING', 'PAUSED');--> statement-breakpoint
CREATE INDEX "runs_unsuccessful" ON "kern"."runs" ("status","run_id") WHERE "status" in ('FAILED', 'CANCELLED');--> statement-breakpoint
CREATE INDEX "runs_waiting" ON "kern"."runs" ("priority" DESC NULLS LAST,"run_id") WHERE "status" = 'QUEUED';--> statement-breakpoint
CREATE INDEX "runs_by_owner" ON "kern"."runs" ("owner") WHERE "status" = 'RUNNING' and "wake_at" is null;--> statement-breakpoint
CREATE INDEX "sessions_turn_due" ON "kern"."sessions" ("session_id") WHERE "turn_due";--> statement-breakpoint
-- What is changed within its page (a HOT update) needs room there.
ALTER TABLE "kern"."sessions" SET (fillfactor = 65);--> statement-breakpoint
ALTER TABLE "kern"."run_payloads" SET (fillfactor = 65);--> statement-breakpoint
ALTER TABLE "kern"."step_results" SET (fillfactor = 85);--> statement-breakpoint
CREATE VIEW "kern"."events" AS
	SELECT e."run_id", e."seq" AS "first_seq", e."seq" + (o."place" - 1)::int AS "seq", o."event" ->> 0 AS "type",
		to_timestamp((o."event" ->> 1)::float8 / 1000)::timestamptz(3) AS "at", o."event" ->> 2 AS "step_path",
		o."event" ->> 3 AS "name", o."event" -> 4 AS "data"
	FROM "kern"."run_events" e CROSS JOIN LATERAL json_array_elements(e."events") WITH ORDINALITY AS o("event", "place");--> statement-breakpoint
CREATE FUNCTION "kern"."delete_runs_of_sessions"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	-- As an array, which the planner takes for short: joined, it may read the whole of a large table.
	DELETE FROM "kern"."runs" WHERE "session_id" = ANY (ARRAY(SELECT "session_id" FROM "gone"));
	RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER "sessions_deleted" AFTER DELETE ON "kern"."sessions" REFERENCING OLD TABLE AS "gone"
	FOR EACH STATEMENT EXECUTE FUNCTION "kern"."delete_runs_of_sessions"();--> statement-breakpoint
CREATE FUNCTION "kern"."delete_rows_of_runs"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM "kern"."run_events" WHERE "run_id" = ANY (ARRAY(SELECT "run_id" FROM "gone"));
	DELETE FROM "kern"."step_results" WHERE "run_id" = ANY (ARRAY(SELECT "run_id" FROM "gone"));
	DELETE FROM "kern"."run_payloads" WHERE "run_id" = ANY (ARRAY(SELECT "run_id" FROM "gone"));
	RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER "runs_deleted" AFTER DELETE ON "kern"."runs" REFERENCING OLD TABLE AS "gone"
	FOR EACH STATEMENT EXECUTE FUNCTION "kern"."delete_rows_of_runs"();
