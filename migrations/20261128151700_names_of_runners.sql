-- A runner is looked for by its name also after it has gone, which read through all that ever were. And Postgres learns how
-- rare a name is only from an index of all rows; without, it looked for more than the name, and planned that anew for
-- each request.
create index runners_name on runners (lower(name), id desc);
analyze runners;
