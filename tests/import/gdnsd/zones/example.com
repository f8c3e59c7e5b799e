@     3600 SOA ns1 dns-admin ( 1 2h 30M 3D 5 ) ; times have units
      NS   ns1
ns1   A    192.0.2.53
one   300      DYNA static!one
one-mx         CNAME mail
six   300/300  DYNA static!six
else  300      DYNC static!elsewhere
pair  300/30   DYNA multifo!pair
      MX  10   mail
both  5m       DYNA multifo!both
scripted  300  DYNA multifo!scripted
filed     300  DYNA multifo!filed
failover  300  DYNA simplefo!failover
uneven    300  DYNA weighted!uneven
names     300  DYNC weighted!names
mixed     300  DYNA weighted!mixed
ordered   300  DYNC metafo!ordered
ordered-2 300  DYNA metafo!ordered/second
*.www     60   DYNA geoip!www
de.www    60   DYNA geoip!www/de
near      60   DYNA geoip!near_www
second    60   DYNA geoip!second
zeros     60   DYNA null
mail   A   192.0.2.25
$INCLUDE ../parts/text
