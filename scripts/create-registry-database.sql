-- The schema registry's own role and database. PostgreSQL's image runs this once, in an empty data directory
-- (docker-compose.yml); REGISTRY_PASSWORD comes from the container's environment.
\getenv password REGISTRY_PASSWORD
create role registry login password :'password';
create database registry owner registry;
