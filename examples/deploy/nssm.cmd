rem A Windows service by NSSM: Ctrl+C first, which Node hears as SIGINT, and 30 s before anything harsher.
nssm install orders "C:\Program Files\nodejs\node.exe" server.js
nssm set orders AppDirectory C:\srv\orders
nssm set orders AppStopMethodSkip 6
nssm set orders AppStopMethodConsole 30000
nssm start orders
