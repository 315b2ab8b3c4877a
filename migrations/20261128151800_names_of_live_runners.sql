-- `runners_name` has these rows too. Apart from it, since this shuts out readers for the moment that it takes.
drop index runners_live_name_anywhere;
