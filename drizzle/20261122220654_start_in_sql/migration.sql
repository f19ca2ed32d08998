-- JSON text as JavaScript writes it: without white space, the last of equal keys, numbers as doubles. `shown`: negative zero
-- loses its sign, as in previews and hashes. `sorted`: with the keys in order, for hashes.
CREATE FUNCTION "kern"."json_text"("given" json, "shown" boolean, "sorted" boolean) RETURNS text
	LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
	"number" float8;
BEGIN
	CASE json_typeof("given")
	WHEN 'object' THEN
		-- Sorted by UTF-16: what is above U+FFFF comes before U+E000. Else keys that are indices come first.
		RETURN '{' || coalesce((
			SELECT string_agg(to_json(m."key")::text || ':' || "kern"."json_text"(m."item", "shown", "sorted"), ','
				ORDER BY CASE WHEN "sorted" THEN regexp_replace(m."key", '([\uE000-\uFFFF])', chr(1114111) || '\1', 'g') END COLLATE "C",
					CASE WHEN m."key" ~ '^(0|[1-9][0-9]{0,9})$' THEN
						CASE WHEN m."key"::bigint < 4294967295 THEN m."key"::bigint END END NULLS LAST, m."place")
			FROM (SELECT e."key", min(e."place") AS "place", (array_agg(e."item" ORDER BY e."place" DESC))[1] AS "item"
				FROM json_each("given") WITH ORDINALITY AS e("key", "item", "place") GROUP BY e."key") m), '') || '}';
	WHEN 'array' THEN
		RETURN '[' || coalesce((
			SELECT string_agg("kern"."json_text"(e."item", "shown", "sorted"), ',' ORDER BY e."place")
			FROM json_array_elements("given") WITH ORDINALITY AS e("item", "place")), '') || ']';
	WHEN 'string' THEN
		RETURN to_json("given" #>> '{}')::text;
	WHEN 'number' THEN
		"number" := ("given" #>> '{}')::float8;
		IF "number" = 0 THEN
			RETURN CASE WHEN NOT "shown" AND "given" #>> '{}' LIKE '-%' THEN '-0' ELSE '0' END;
		ELSIF abs("number") >= 1e21 OR abs("number") < 1e-6 THEN
			RETURN regexp_replace("number"::text, 'e([+-])0+', 'e\1');
		END IF;
		RETURN trim_scale("number"::text::numeric)::text;
	WHEN 'null' THEN
		RETURN 'null';
	ELSE
		RETURN "given" #>> '{}';
	END CASE;
END $$;--> statement-breakpoint
-- A UUIDv7 whose twelve bits after the milliseconds are the microseconds, so that ids are in the order of their making.
CREATE FUNCTION "kern"."new_id"("at" timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
	SELECT (lpad(to_hex("us" / 1000), 12, '0') || '7' || lpad(to_hex(("us" % 1000) * 4096 / 1000), 3, '0')
		|| to_hex(8 + ascii(substr("random", 1, 1)) % 4) || substr("random", 2, 15))::uuid
	FROM (SELECT (extract(epoch FROM "at") * 1000000)::bigint AS "us", replace(gen_random_uuid()::text, '-', '') AS "random") n
$$;--> statement-breakpoint
-- By which a process knows whether a transaction that it is given is one on its own database.
CREATE FUNCTION "kern"."database_id"() RETURNS text LANGUAGE sql STABLE AS $$
	SELECT format('%s/%s', c."system_identifier", d."oid") FROM pg_control_system() c, pg_database d
	WHERE d."datname" = current_database()
$$;--> statement-breakpoint
-- Accepts a run in the transaction of the caller, as src/store/accept.ts does in one of its own, and gives what came of it.
-- What is asked has been checked, and has been made into what the rows have.
CREATE FUNCTION "kern"."accept_run"("request" json) RETURNS json LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	"given_id" uuid := "request" ->> 'runId';
	"workflow" text := "request" ->> 'workflowId';
	"version" text := "request" ->> 'workflowVersion';
	"title" text := "request" ->> 'workflowName';
	"session" text := "request" ->> 'sessionId';
	"user" text := "request" ->> 'userId';
	"name" text := "request" ->> 'sessionName';
	"display" text := "request" ->> 'displayName';
	"preview" text := "request" ->> 'inputPreview';
	"key" text := "request" ->> 'idempotencyKey';
	"hash" text := "request" ->> 'requestHash';
	"tags" text[] := ARRAY(SELECT json_array_elements_text("request" -> 'tags'));
	"at" timestamptz(3) := to_timestamp(("request" ->> 'at')::float8 / 1000);
	"present" "kern"."sessions";
	"earlier" "kern"."runs";
	"violated" text;
BEGIN
	IF "request" ->> 'databaseId' <> "kern"."database_id"() THEN
		RETURN json_build_object('type', 'other-database');
	END IF;
	-- Twice at most: another transaction with the same key may commit between the look and the insert.
	FOR "attempt" IN 1..2 LOOP
		IF "key" IS NOT NULL THEN
			SELECT * INTO "earlier" FROM "kern"."runs" r
				WHERE coalesce(r."user_id", '') = coalesce("user", '') AND r."idempotency_key" = "key";
			IF FOUND THEN
				RETURN json_build_object('type', CASE WHEN "earlier"."request_hash" = "hash" THEN 'repeated' ELSE 'key-conflict' END,
					'runId', "earlier"."run_id", 'sessionId', "earlier"."session_id", 'number', "earlier"."number");
			END IF;
		END IF;
		BEGIN
			INSERT INTO "kern"."sessions" AS s ("session_id", "workflow_id", "workflow_name", "workflow_version", "user_id", "name",
					"name_source", "display_name", "state", "tags", "created_at", "updated_at")
				VALUES ("session", "workflow", "title", "version", "user", "name",
					CASE WHEN "name" IS NOT NULL THEN 'MANUAL' END, "display", "request" -> 'initialState', '{}', "at", "at")
				ON CONFLICT ("session_id") DO UPDATE SET "session_id" = excluded."session_id" RETURNING s.* INTO "present";
			IF "present"."workflow_id" <> "workflow" OR "present"."user_id" <> "user" THEN
				RETURN json_build_object('type', 'session-conflict', 'sessionId', "session",
					'workflowId', "present"."workflow_id", 'userId', "present"."user_id");
			END IF;
			IF "request" ->> 'onBusy' = 'REJECT' THEN
				SELECT * INTO "earlier" FROM "kern"."runs" r
					WHERE r."run_id" = "present"."active_run_id" AND r."completed_at" IS NULL;
				IF FOUND THEN
					RETURN json_build_object('type', 'busy', 'runId', "earlier"."run_id", 'sessionId', "session");
				END IF;
			END IF;
			INSERT INTO "kern"."runs" ("run_id", "session_id", "number", "workflow_id", "workflow_name", "workflow_version",
					"user_id", "status", "priority", "input_preview", "history_run_ids", "metadata", "tags", "idempotency_key",
					"request_hash", "created_at")
				VALUES ("given_id", "session", "present"."run_count" + 1, "workflow", "title", "version", "user", 'QUEUED',
					("request" ->> 'priority')::int, "preview", '{}', "request" -> 'metadata', "tags", "key", "hash", "at");
			EXIT;
		EXCEPTION WHEN unique_violation THEN
			GET STACKED DIAGNOSTICS "violated" = CONSTRAINT_NAME;
			IF "violated" <> 'runs_by_idempotency_key' THEN
				RAISE;
			ELSIF "attempt" = 2 THEN
				RAISE EXCEPTION 'another transaction has used idempotencyKey % at the same time', to_json("key")
					USING ERRCODE = 'serialization_failure';
			END IF;
		END;
	END LOOP;
	INSERT INTO "kern"."run_payloads" ("run_id", "input", "state_given")
		VALUES ("given_id", "request" -> 'input', "request" -> 'stateGiven');
	INSERT INTO "kern"."run_events" ("run_id", "seq", "events")
		VALUES ("given_id", 1, format('[["RUN_QUEUED",%s,null,null]]', "request" ->> 'at')::json);
	UPDATE "kern"."sessions" s SET "run_count" = s."run_count" + 1, "last_run_id" = "given_id",
			"active_run_id" = coalesce(s."active_run_id", "given_id"), "workflow_name" = "title", "workflow_version" = "version",
			"updated_at" = "at", "name" = coalesce("name", s."name"),
			"name_source" = CASE WHEN "name" IS NOT NULL THEN 'MANUAL' ELSE s."name_source" END,
			"display_name" = CASE WHEN "name" IS NOT NULL THEN "name"
				WHEN s."name" IS NULL AND s."run_count" = 0 AND "preview" <> '' THEN "display" ELSE s."display_name" END
		WHERE s."session_id" = "session";
	-- A hint for the processes that listen, see src/events/hintCode.ts. It leaves with the commit.
	PERFORM pg_notify('kern_hints', format('["sql",["changed","%s",%s,%s,false],["waiting"]]', "given_id",
		to_json("session"), to_json("workflow")));
	RETURN json_build_object('type', 'accepted', 'runId', "given_id", 'sessionId', "session",
		'number', "present"."run_count" + 1);
END $$;--> statement-breakpoint
CREATE FUNCTION "kern"."check_text"("name" text, "value" text, "max" int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF "value" = '' OR length("value") > "max" OR "value" ~ '[\u0001-\u001f\u007f-\u009f]' THEN
		RAISE EXCEPTION '% is %: allowed is text of 1 to % characters without control characters',
			"name", to_json(left("value", 80)), "max" USING ERRCODE = 'KN400';
	END IF;
	RETURN "value";
END $$;--> statement-breakpoint
CREATE FUNCTION "kern"."run_workflow"("workflow_id" text, "input" json DEFAULT NULL, "session_id" text DEFAULT NULL,
		"user_id" text DEFAULT NULL, "idempotency_key" text DEFAULT NULL, "state" json DEFAULT NULL, "metadata" json DEFAULT NULL,
		"tags" text[] DEFAULT '{}', "priority" int DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql SET "extra_float_digits" = 1 AS $$
#variable_conflict use_variable
DECLARE
	"at" timestamptz := clock_timestamp();
	"definition" "kern"."workflows";
	"plain" text := "kern"."json_text"("input", false, false);
	"shown" text := CASE json_typeof("input") WHEN 'string' THEN "input" #>> '{}' ELSE "kern"."json_text"("input", true, false) END;
	"preview" text := CASE WHEN "shown" IS NULL THEN '' WHEN length("shown") > 256 THEN left("shown", 255) || '…' ELSE "shown" END;
	"hash" text;
	"session" text := coalesce("kern"."check_text"('session_id', "session_id", 200), "kern"."new_id"("at")::text);
	"unique_tags" text[] := ARRAY(
		SELECT "kern"."check_text"('tags', t."tag", 100)
		FROM unnest(coalesce("tags", '{}')) WITH ORDINALITY AS t("tag", "place") GROUP BY t."tag" ORDER BY min(t."place"));
	"outcome" json;
BEGIN
	SELECT w.* INTO "definition" FROM "kern"."workflows" w WHERE w."workflow_id" = run_workflow."workflow_id"
		ORDER BY w."registered_at" DESC LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no workflow % was ever served from this database: there are %', coalesce(to_json("workflow_id")::text, 'null'),
			(SELECT coalesce(json_agg(w."workflow_id" ORDER BY w."workflow_id" COLLATE "C"), '[]')
				FROM (SELECT DISTINCT d."workflow_id" FROM "kern"."workflows" d) w)
			USING ERRCODE = 'KN404';
	ELSIF json_typeof("state") <> 'object' THEN
		RAISE EXCEPTION 'state is %: allowed is a JSON object', left("state"::text, 80) USING ERRCODE = 'KN400';
	ELSIF "priority" NOT BETWEEN -100 AND 100 THEN
		RAISE EXCEPTION 'priority is %: allowed is a whole number from -100 to 100', "priority" USING ERRCODE = 'KN400';
	ELSIF cardinality("unique_tags") > 50 OR array_position("tags", NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'tags has % entries: allowed are 50, none of them null', cardinality("tags") USING ERRCODE = 'KN400';
	END IF;
	PERFORM "kern"."check_text"('user_id', "user_id", 200), "kern"."check_text"('idempotency_key', "idempotency_key", 200);
	IF "idempotency_key" IS NOT NULL THEN
		"hash" := encode(sha256(convert_to(format('{"input":[%s],"sessionId":%s,"workflowId":%s}',
			"kern"."json_text"("input", true, true), coalesce(to_json("session_id")::text, 'null'), to_json("workflow_id")), 'UTF8')), 'hex');
	END IF;
	"outcome" := "kern"."accept_run"((SELECT json_object_agg(f."name", f."value") FROM (VALUES
		('runId', to_json("kern"."new_id"("at"))), ('at', to_json(floor(extract(epoch FROM "at") * 1000))),
		('workflowId', to_json("definition"."workflow_id")), ('workflowVersion', to_json("definition"."version")),
		('workflowName', to_json("definition"."name")), ('initialState', "definition"."initial_state"),
		('sessionId', to_json("session")), ('userId', to_json("user_id")),
		('displayName', to_json(CASE
			WHEN btrim("preview", E' \t\n\u000b\f\r\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff') = ''
			THEN format('New %s session', "definition"."name") ELSE "preview" END)),
		('input', "plain"::json), ('inputPreview', to_json("preview")),
		('stateGiven', "kern"."json_text"("state", false, false)::json), ('metadata', "kern"."json_text"("metadata", false, false)::json),
		('tags', to_json("unique_tags")), ('priority', to_json(coalesce("priority", "definition"."priority"))),
		('idempotencyKey', to_json("idempotency_key")), ('requestHash', to_json("hash"))
	) f("name", "value") WHERE f."value" IS NOT NULL));
	CASE "outcome" ->> 'type'
	WHEN 'accepted', 'repeated' THEN
		RETURN "outcome" ->> 'runId';
	WHEN 'key-conflict' THEN
		RAISE EXCEPTION 'idempotency_key % was used before, for run %, with another workflow, input or session',
			to_json("idempotency_key"), "outcome" ->> 'runId' USING ERRCODE = 'KN409';
	ELSE
		RAISE EXCEPTION 'session % belongs to %: give another session_id', to_json("session"),
			CASE WHEN "outcome" ->> 'workflowId' = "workflow_id" THEN format('user %s', "outcome" -> 'userId')
				ELSE format('workflow %s', "outcome" -> 'workflowId') END
			USING ERRCODE = 'KN409';
	END CASE;
END $$;--> statement-breakpoint
COMMENT ON FUNCTION "kern"."run_workflow" IS 'Starts a run in the transaction of the caller, and gives its id.';
