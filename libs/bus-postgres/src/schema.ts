/** The version of the tables, and of what the functions take and give: another one in the database refuses this program. */
export const SCHEMA_VERSION = 1;
/** What the functions do inside. Older ones in the database are replaced; newer ones serve this program, too, so that releases may run beside each other and be taken back. */
export const FUNCTIONS_VERSION = 3;

const TABLES = `
create table topics (name text primary key, last_number bigint not null, last_ms bigint not null) with (fillfactor = 50);
create table events (
  topic text not null, number bigint not null, ms bigint not null, event_key text not null, fields text not null, primary key (topic, number)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
create table recent_ids (topic text not null, event_id text not null, expires_at timestamptz not null, primary key (topic, event_id));
create index recent_ids_expiry on recent_ids (expires_at);
create table groups (
  topic text not null, name text not null, delivered bigint not null default 0, bootstrap text, bootstrap_since timestamptz,
  bootstrap_holder text, bootstrap_until timestamptz, progress bigint, progress_at timestamptz, fence bigint not null default 0, holder text, holder_until timestamptz,
  primary key (topic, name)
) with (fillfactor = 50);
create table deliveries (
  topic text not null, "group" text not null, number bigint not null, consumer text not null, attempts int not null default 1,
  touched_at timestamptz not null default clock_timestamp(), first_failed_at timestamptz, due_at timestamptz, primary key (topic, "group", number)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index deliveries_due on deliveries (topic, "group", due_at) where due_at is not null;
create table consumers (topic text not null, "group" text not null, name text not null, seen_at timestamptz not null, primary key (topic, "group", name)) with (fillfactor = 50);
create table dead_letters (
  topic text not null, "group" text not null, ms bigint not null, number bigint generated always as identity, fields text not null, primary key (topic, "group", ms, number)
);
create table meta (version int not null, functions int not null default 1);
insert into meta values (${SCHEMA_VERSION}, ${FUNCTIONS_VERSION});`;

/** Raised with these codes, so that the client knows what they mean. */
export const GROUP_MISSING = 'MB001';
export const LEASE_LOST = 'MB002';

/*
 * Each function is one transaction of its own, so that a pooler that gives out a connection for a transaction only is enough. A counter row of the topic numbers its
 * entries: it is locked until the commit, so that entries appear in the order of their numbers and none is ever missing between two that can be seen. That is what makes
 * one cursor a group safe (a sequence would lose the rows of a slow transaction).
 */
const FUNCTIONS = `
create or replace function append(p_topic text, p_keys text[], p_fields text[], p_ids text[], p_dedup_ms bigint) returns text language plpgsql as $$
declare
  v_last bigint; v_ms bigint; v_count int := cardinality(p_fields); v_fresh text[];
begin
  if p_dedup_ms > 0 then
    delete from recent_ids where (topic, event_id) in (select topic, event_id from recent_ids where expires_at < clock_timestamp() order by expires_at limit 2000 for update skip locked);
    with fresh as (
      insert into recent_ids (topic, event_id, expires_at) select distinct on (id) p_topic, id, clock_timestamp() + p_dedup_ms * interval '1 millisecond' from unnest(p_ids) as id order by id
      on conflict (topic, event_id) do update set expires_at = excluded.expires_at where recent_ids.expires_at < clock_timestamp() returning event_id)
    select coalesce(array_agg(event_id), '{}') into v_fresh from fresh;
    select array_agg(key order by place), array_agg(field order by place), count(*) into p_keys, p_fields, v_count
      from (select distinct on (id) key, field, place, id from unnest(p_keys, p_fields, p_ids) with ordinality as given(key, field, id, place) where id = any(v_fresh) order by id, place) as kept;
    if v_count = 0 then
      select last_ms || '-' || last_number into p_topic from topics where name = p_topic;
      return coalesce(p_topic, '0-0');
    end if;
  end if;
  insert into topics as t (name, last_number, last_ms) values (p_topic, v_count, (extract(epoch from clock_timestamp()) * 1000)::bigint)
    on conflict (name) do update set last_number = t.last_number + v_count, last_ms = greatest(t.last_ms, (extract(epoch from clock_timestamp()) * 1000)::bigint)
    returning last_number, last_ms into v_last, v_ms;
  insert into events (topic, number, ms, event_key, fields)
    select p_topic, v_last - v_count + place, v_ms, key, field from unnest(p_keys, p_fields) with ordinality as given(key, field, place);
  return v_ms || '-' || v_last;
end $$;

create or replace function own_group(p_topic text, p_group text, p_token bigint) returns groups language plpgsql as $$
declare v_group groups;
begin
  select * into v_group from groups where topic = p_topic and name = p_group for update;
  if not found then raise exception 'the group % of % is gone', p_group, p_topic using errcode = '${GROUP_MISSING}'; end if;
  if p_token is not null and v_group.fence <> p_token then raise exception 'the lease has gone to another consumer' using errcode = '${LEASE_LOST}'; end if;
  return v_group;
end $$;

create or replace function register_group(p_topic text, p_group text, p_can_bootstrap boolean) returns boolean language plpgsql as $$
declare v_new boolean;
begin
  insert into topics (name, last_number, last_ms) values (p_topic, 0, 0) on conflict do nothing;
  insert into groups (topic, name) values (p_topic, p_group) on conflict do nothing;
  v_new := found;
  if p_can_bootstrap then
    update groups set bootstrap = 'needed', bootstrap_since = clock_timestamp() where topic = p_topic and name = p_group and bootstrap is null;
  end if;
  return v_new;
end $$;

create or replace function see_consumer(p_topic text, p_group text, p_consumer text) returns void language sql as $$
  insert into consumers (topic, "group", name, seen_at) values (p_topic, p_group, p_consumer, clock_timestamp())
    on conflict (topic, "group", name) do update set seen_at = excluded.seen_at where consumers.seen_at < clock_timestamp() - interval '10 seconds';
$$;

create or replace function take(p_topic text, p_group text, p_token bigint, p_consumer text, p_count int) returns table (number bigint, ms bigint, fields text) language plpgsql as $$
#variable_conflict use_column
declare v_group groups; v_last bigint;
begin
  perform see_consumer(p_topic, p_group, p_consumer);
  -- A look without a lock: most of them find nothing.
  if p_token is null and not exists (select from groups g join topics t on t.name = g.topic where g.topic = p_topic and g.name = p_group and t.last_number > g.delivered)
    and exists (select from groups g where g.topic = p_topic and g.name = p_group) then return; end if;
  v_group := own_group(p_topic, p_group, p_token);
  -- A topic that was lost and begins again has smaller numbers than the group has seen.
  select t.last_number into v_last from topics t where t.name = p_topic;
  if coalesce(v_last, 0) < v_group.delivered then
    v_group.delivered := 0;
    update groups g set delivered = 0 where g.topic = p_topic and g.name = p_group;
  end if;
  return query
    with batch as (select e.number, e.ms, e.fields from events e where e.topic = p_topic and e.number > v_group.delivered order by e.number limit p_count),
      taken as (insert into deliveries (topic, "group", number, consumer) select p_topic, p_group, b.number, p_consumer from batch b on conflict do nothing),
      moved as (update groups g set delivered = (select max(b.number) from batch b) where g.topic = p_topic and g.name = p_group and exists (select from batch))
    select b.number, b.ms, b.fields from batch b order by b.number;
end $$;

create or replace function ack(p_topic text, p_group text, p_token bigint, p_numbers bigint[]) returns void language plpgsql as $$
begin
  if p_token is not null then perform own_group(p_topic, p_group, p_token); end if;
  delete from deliveries where topic = p_topic and "group" = p_group and number = any(p_numbers);
end $$;

create or replace function claim(p_topic text, p_group text, p_token bigint, p_consumer text, p_number bigint, p_max int) returns table (kind text, attempts int, ms bigint, fields text) language plpgsql as $$
#variable_conflict use_column
declare v_delivery deliveries; v_ms bigint; v_fields text;
begin
  perform own_group(p_topic, p_group, p_token);
  select * into v_delivery from deliveries d where d.topic = p_topic and d."group" = p_group and d.number = p_number and d.consumer = p_consumer for update;
  if not found then return query select 'gone'::text, 0, 0::bigint, null::text; return; end if;
  if v_delivery.attempts >= p_max then return query select 'exhausted'::text, v_delivery.attempts, 0::bigint, null::text; return; end if;
  select e.ms, e.fields into v_ms, v_fields from events e where e.topic = p_topic and e.number = p_number;
  if not found then
    delete from deliveries d where d.topic = p_topic and d."group" = p_group and d.number = p_number;
    return query select 'deleted'::text, 0, 0::bigint, null::text; return;
  end if;
  update deliveries d set attempts = d.attempts + 1, touched_at = clock_timestamp(), first_failed_at = coalesce(d.first_failed_at, clock_timestamp())
    where d.topic = p_topic and d."group" = p_group and d.number = p_number;
  return query select 'claimed'::text, v_delivery.attempts + 1, v_ms, v_fields;
end $$;

create or replace function release(p_topic text, p_group text, p_token bigint, p_consumer text, p_number bigint, p_attempts int) returns void language plpgsql as $$
begin
  perform own_group(p_topic, p_group, p_token);
  update deliveries set attempts = p_attempts where topic = p_topic and "group" = p_group and number = p_number and consumer = p_consumer;
end $$;

create or replace function park(p_topic text, p_group text, p_token bigint, p_consumer text, p_number bigint, p_reason text, p_attempts int, p_max int) returns int language plpgsql as $$
declare v_delivery deliveries; v_event events; v_cut int := 0; v_letter bigint; v_now bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
begin
  perform own_group(p_topic, p_group, p_token);
  delete from deliveries where topic = p_topic and "group" = p_group and number = p_number returning * into v_delivery;
  if not found then return -1; end if;
  select * into v_event from events where topic = p_topic and number = p_number;
  if found then
    -- As text: jsonb refuses what JSON may say (an escaped NUL).
    insert into dead_letters (topic, "group", ms, fields) values (p_topic, p_group, v_now, rtrim(json_build_array(
      'reason', p_reason, 'source_id', v_event.ms || '-' || v_event.number, 'group', p_group, 'consumer', p_consumer, 'attempts', p_attempts::text,
      'first_seen', coalesce((extract(epoch from v_delivery.first_failed_at) * 1000)::bigint, v_now)::text, 'last_seen', v_now::text)::text, ']') || ',' || ltrim(v_event.fields, '[')) returning number into v_letter;
    -- Now and then: counting them costs more than parking.
    if v_letter % 100 = 0 then
      delete from dead_letters where ctid = any(array(
        select ctid from dead_letters where topic = p_topic and "group" = p_group order by ms desc, number desc offset p_max));
      get diagnostics v_cut = row_count;
    end if;
  end if;
  return v_cut;
end $$;

create or replace function put_off(p_topic text, p_group text, p_token bigint, p_consumer text, p_number bigint, p_delay_ms bigint) returns void language plpgsql as $$
begin
  perform own_group(p_topic, p_group, p_token);
  update deliveries set due_at = clock_timestamp() + p_delay_ms * interval '1 millisecond' where topic = p_topic and "group" = p_group and number = p_number and consumer = p_consumer;
end $$;

create or replace function take_due(p_topic text, p_group text, p_token bigint, p_consumer text, p_count int) returns table (numbers bigint[], next_ms bigint, waiting int) language plpgsql as $$
declare v_numbers bigint[];
begin
  if p_token is not null then perform own_group(p_topic, p_group, p_token); end if;
  with due as (
    select number from deliveries where topic = p_topic and "group" = p_group and due_at <= clock_timestamp() order by due_at limit p_count for update skip locked),
  taken as (
    update deliveries d set consumer = p_consumer, due_at = null, touched_at = clock_timestamp() from due where d.topic = p_topic and d."group" = p_group and d.number = due.number returning d.number)
  select array_agg(number order by number) into v_numbers from taken;
  return query select coalesce(v_numbers, '{}'), ceil(extract(epoch from min(due_at) - clock_timestamp()) * 1000)::bigint, count(*)::int
    from deliveries where topic = p_topic and "group" = p_group and due_at is not null;
end $$;

create or replace function reclaim(p_topic text, p_group text, p_consumer text, p_idle_ms bigint, p_count int) returns setof bigint language sql as $$
  with idle as (
    select number from deliveries where topic = p_topic and "group" = p_group and due_at is null and touched_at <= clock_timestamp() - p_idle_ms * interval '1 millisecond'
    order by number limit p_count for update skip locked)
  update deliveries d set consumer = p_consumer, touched_at = clock_timestamp() from idle where d.topic = p_topic and d."group" = p_group and d.number = idle.number returning d.number;
$$;

create or replace function adopt(p_topic text, p_group text, p_token bigint, p_consumer text, p_from bigint, p_count int, p_put_off boolean)
returns table (number bigint, ms bigint, fields text, is_put_off boolean) language plpgsql as $$
#variable_conflict use_column
declare v_last bigint;
begin
  perform own_group(p_topic, p_group, p_token);
  select max(page.number) into v_last from (select d.number from deliveries d where d.topic = p_topic and d."group" = p_group and d.number > p_from order by d.number limit p_count) page;
  return query
    with page as (select d.number, d.due_at from deliveries d where d.topic = p_topic and d."group" = p_group and d.number > p_from order by d.number limit p_count for update),
      taken as (update deliveries d set consumer = p_consumer, touched_at = clock_timestamp(), due_at = case when p_put_off then null else d.due_at end
        from page where d.topic = p_topic and d."group" = p_group and d.number = page.number)
    select page.number, e.ms, e.fields, page.due_at is not null and not p_put_off from page left join events e on e.topic = p_topic and e.number = page.number order by page.number;
  -- Entries that are gone: told of once, with null fields.
  delete from deliveries d where d.topic = p_topic and d."group" = p_group and d.number > p_from and d.number <= v_last
    and not exists (select from events e where e.topic = p_topic and e.number = d.number);
end $$;

create or replace function take_bootstrap(p_topic text, p_group text, p_holder text, p_lock_ms bigint) returns table (state text, since_us bigint, now_us bigint) language plpgsql as $$
declare v_group groups; v_now timestamptz := clock_timestamp();
begin
  v_group := own_group(p_topic, p_group, null);
  if v_group.bootstrap is distinct from 'needed' then return query select 'done'::text, 0::bigint, 0::bigint; return; end if;
  if v_group.bootstrap_holder is distinct from p_holder and v_group.bootstrap_until > v_now then return query select 'busy'::text, 0::bigint, 0::bigint; return; end if;
  update groups set bootstrap_holder = p_holder, bootstrap_until = v_now + p_lock_ms * interval '1 millisecond' where topic = p_topic and name = p_group;
  return query select 'mine'::text, (extract(epoch from coalesce(v_group.bootstrap_since, v_now)) * 1000000)::bigint, (extract(epoch from v_now) * 1000000)::bigint;
end $$;

create or replace function end_bootstrap(p_topic text, p_group text, p_holder text, p_completed boolean) returns boolean language sql as $$
  with ended as (
    update groups set bootstrap_holder = null, bootstrap_until = null, bootstrap = case when p_completed then 'done' else bootstrap end
    where topic = p_topic and name = p_group and bootstrap_holder = p_holder returning 1)
  select exists (select from ended);
$$;

create or replace function acquire_lease(p_topic text, p_group text, p_member text, p_lease_ms bigint) returns bigint language plpgsql as $$
declare v_group groups; v_fence bigint;
begin
  -- Where it was dropped, or the database restored, whoever consumes it makes it again.
  perform register_group(p_topic, p_group, false);
  v_group := own_group(p_topic, p_group, null);
  if v_group.holder is not null and v_group.holder_until > clock_timestamp() then return null; end if;
  -- Seconds: rises also where the group was made anew.
  v_fence := greatest(v_group.fence + 1, extract(epoch from clock_timestamp())::bigint);
  update groups set fence = v_fence, holder = p_member, holder_until = clock_timestamp() + p_lease_ms * interval '1 millisecond' where topic = p_topic and name = p_group;
  return v_fence;
end $$;

create or replace function renew_lease(p_topic text, p_group text, p_token bigint, p_lease_ms bigint) returns boolean language plpgsql as $$
begin
  update groups set holder = case when p_lease_ms > 0 then holder end, holder_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
    where topic = p_topic and name = p_group and fence = p_token and holder is not null and holder_until > clock_timestamp();
  return found;
end $$;

create or replace function pass_over(p_topic text, p_stalled_ms bigint) returns setof text language plpgsql as $$
begin
  update groups g set progress = at.done, progress_at = case when g.progress is distinct from at.done or not at.is_behind then clock_timestamp() else g.progress_at end
  from (
    select g2.name, g2.delivered - count(d.number) as done, t.last_number > g2.delivered or count(d.number) > 0 as is_behind
    from groups g2 join topics t on t.name = g2.topic left join deliveries d on d.topic = g2.topic and d."group" = g2.name where g2.topic = p_topic group by g2.name, g2.delivered, t.last_number) as at
  where g.topic = p_topic and g.name = at.name;
  return query update groups g set bootstrap = 'needed', bootstrap_since = clock_timestamp()
    where g.topic = p_topic and g.bootstrap = 'done' and g.progress_at <= clock_timestamp() - p_stalled_ms * interval '1 millisecond' returning g.name;
end $$;

create or replace function trim_events(p_topic text, p_keep bigint, p_count int) returns int language plpgsql as $$
declare v_floor bigint; v_removed int;
begin
  -- What no group needs any more. A topic without groups is left alone: nobody has said what may go.
  select min(least(g.delivered, coalesce((select min(d.number) - 1 from deliveries d where d.topic = g.topic and d."group" = g.name), g.delivered))) into v_floor
    from groups g where g.topic = p_topic and (g.bootstrap is distinct from 'needed' or g.bootstrap_until > clock_timestamp());
  if v_floor is null then
    if not exists (select from groups where topic = p_topic) then return 0; end if;
    select last_number into v_floor from topics where name = p_topic;
  end if;
  delete from events where ctid = any(array(
    select e.ctid from events e where e.topic = p_topic and e.number <= v_floor
      and e.number <= (select k.number from events k where k.topic = p_topic order by k.number desc offset p_keep limit 1)
    order by e.number limit p_count));
  get diagnostics v_removed = row_count;
  return v_removed;
end $$;`;

const functionsOf = (schema: string): string => FUNCTIONS.replaceAll(/language (plpgsql|sql) as/g, `language $1 set search_path to ${schema} as`);

/** Everything of the bus, in a schema of its own: one that is there, or a new one. */
export const createSchema = (schema: string, isThere: boolean): string => `
${isThere ? '' : `create schema ${schema};`}
set local search_path to ${schema};
${TABLES}
${functionsOf(schema)}`;

/** The functions of this release in place of older ones. */
export const replaceFunctions = (schema: string): string => `
set local search_path to ${schema};
${functionsOf(schema)}
alter table meta add column if not exists functions int not null default 1;
update meta set functions = ${FUNCTIONS_VERSION};`;
