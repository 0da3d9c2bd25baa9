/** The tables of the service that is stopped. */

export const SCHEMA = `
  create table accounts as select id, 100 as balance from generate_series(0, 9) as id;
  create table transfers (id int primary key);
  create table audit (at timestamptz not null default now());
  create table processed (source text not null, what text not null);
  create table jobs (
    id bigint generated always as identity primary key, payload text not null,
    run_at timestamptz not null default now(), attempts int not null default 0
  )`
